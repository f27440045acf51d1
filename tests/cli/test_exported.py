"""export and bench, and what an exported file is good for."""

import json
from pathlib import Path

import pytest

from conftest import Run


def test_export_predict_bench(run: Run, small_checkpoint: Path, photograph: Path, tmp_path: Path) -> None:
    done = run("export", small_checkpoint, "--out", "small.onnx")
    assert "written to small.onnx" in done.stdout
    assert "its outputs are those of the model" in done.stdout
    assert "instance" in run("info", "small.onnx").stdout
    for model, out in ((small_checkpoint, "plain"), ("small.onnx", "exported")):
        run("predict", model, photograph, "--out", out)
    found = [json.loads((tmp_path / out / "results.json").read_text()) for out in ("plain", "exported")]
    plain, exported = ([row["score"] for row in of["images"][0]["result"]["detections"]] for of in found)
    assert exported == pytest.approx(plain, abs=1e-4)
    shown = run("bench", "small.onnx", photograph, "--rounds", "1").stdout
    assert "images a second" in shown
    assert "post-process" in shown


def test_fast_predictions(run: Run, small_checkpoint: Path, photograph: Path, tmp_path: Path) -> None:
    run("predict", small_checkpoint, photograph, "--fast", "--out", "fast")
    assert json.loads((tmp_path / "fast" / "results.json").read_text())["images"][0]["picture"]
    assert "precision 'int8'" in run("predict", small_checkpoint, photograph, "--precision", "int8", code=2).stderr


def test_wrong_names(run: Run, small_checkpoint: Path) -> None:
    assert "exported to .onnx or .pt2" in run("export", small_checkpoint, "--out", "small.tflite", code=2).stderr
    assert "absent.onnx does not exist" in run("predict", "absent.onnx", "a.jpg", code=2).stderr
    assert "only peer is timm" in run("bench", small_checkpoint, "--against", "mmdet", code=2).stderr
