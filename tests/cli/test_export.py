"""export and bench; predict and info for an exported file."""

import json
from pathlib import Path

import pytest

import splitnest
from helpers.command_line import Run
from splitnest.weights import save


def test_export_predict_bench(run: Run, image_file: Path, tmp_path: Path) -> None:
    small = {"model.backbone.depth": 14, "model.backbone.planes": 8, "model.backbone.radix": 0, "input.size": 32}
    model = splitnest.load("resnest50_imagenet.official", weights=None, device="cpu", overrides=small)
    save.save(model.module, model.recipe, tmp_path / "small.safetensors")
    done = run("export", "small.safetensors", "--out", "small.onnx")
    assert "written to small.onnx" in done.stdout
    assert "its outputs equal those of the model" in done.stdout
    assert "classification" in run("info", "small.onnx").stdout
    run("predict", "small.onnx", image_file, "--out", "exported")
    refused = run("predict", "small.onnx", image_file, "--tta", code=2).stderr
    assert "is an exported model, which has no test-time augmentation. Omit tta." in refused
    (image,) = json.loads((tmp_path / "exported" / "results.json").read_text())["images"]
    (expected,) = model.predict(image_file)
    assert image["result"]["top"][0]["probability"] == pytest.approx(expected.top[0].probability, abs=1e-5)
    shown = run("bench", "small.onnx", image_file, "--rounds", "1").stdout
    assert "images per second" in shown
    assert "postprocess" in shown


def test_fast_predictions(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    run("predict", small_checkpoint, image_file, "--fast", "--out", "fast")
    assert json.loads((tmp_path / "fast" / "results.json").read_text())["images"][0]["picture"]
    assert "'int8' is not one of" in run("predict", small_checkpoint, image_file, "--precision", "int8", code=2).stderr


def test_wrong_names(run: Run, small_checkpoint: Path) -> None:
    assert "Use the suffix .onnx or .pt2" in run("export", small_checkpoint, "--out", "small.tflite", code=2).stderr
    assert "absent.onnx does not exist" in run("predict", "absent.onnx", "a.jpg", code=2).stderr
    assert "'mmdet' is not one of" in run("bench", small_checkpoint, "--against", "mmdet", code=2).stderr
