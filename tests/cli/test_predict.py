"""predict on good and on bad images."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers.command_line import Run


def test_drawings_and_json(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    Image.open(image_file).save(folder / "image.png")
    run("predict", small_checkpoint, image_file, folder, "--out", tmp_path / "out", "--batch-size", "2")
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert content["model"] == "small"
    assert content["failed"] == []
    assert [Path(image["picture"]).name for image in content["images"]] == ["image.jpg", "image-2.jpg"]
    for image in content["images"]:
        with Image.open(image["picture"]) as drawing:
            assert drawing.size == (60, 40)
        assert image["result"]["image_size"] == [40, 60]


def test_bad_images_are_named_and_skipped(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    jpeg = tmp_path / "whole.jpg"
    Image.open(image_file).save(jpeg)
    bad = [tmp_path / "truncated.jpg", tmp_path / "text.jpg", tmp_path / "absent.jpg"]
    bad[0].write_bytes(jpeg.read_bytes()[:-300])
    bad[1].write_text("not an image")
    done = run("predict", small_checkpoint, *bad, jpeg, "--json", tmp_path / "all.json", code=3)
    for path in bad:
        assert path.name in done.stderr
    content = json.loads((tmp_path / "all.json").read_text())
    assert len(content["images"]) == 1
    assert [Path(f["file"]).name for f in content["failed"]] == [path.name for path in bad]


def test_extreme_sizes_and_modes(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(np.array([[[7, 8, 9]]], dtype=np.uint8)).save(tmp_path / "dot.png")
    Image.fromarray(rng.integers(0, 256, (20, 20000, 3), dtype=np.uint8)).save(tmp_path / "wide.png")
    Image.fromarray(rng.integers(0, 256, (20000, 20, 3), dtype=np.uint8)).save(tmp_path / "high.png")
    Image.fromarray(rng.integers(0, 65536, (30, 40), dtype=np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(rng.integers(0, 256, (30, 40, 4), dtype=np.uint8), "CMYK").save(tmp_path / "print.jpg")
    names = ["dot.png", "wide.png", "high.png", "deep.png", "print.jpg"]
    run("predict", small_checkpoint, *(tmp_path / name for name in names), "--out", tmp_path / "out")
    sizes = [
        image["result"]["image_size"] for image in json.loads((tmp_path / "out" / "results.json").read_text())["images"]
    ]
    assert sizes == [[1, 1], [20, 20000], [20000, 20], [30, 40], [30, 40]]


def test_tta(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    run("predict", small_checkpoint, image_file, "--tta", "--out", tmp_path / "out")
    (image,) = json.loads((tmp_path / "out" / "results.json").read_text())["images"]
    (expected,) = splitnest.load(small_checkpoint, device="cpu").predict(image_file, tta=True)
    scores = [detection["score"] for detection in image["result"]["detections"]]
    assert len(scores) == len(expected) > 0
    assert np.allclose(scores, expected.scores, atol=1e-4)


def test_tiles(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    options = ("--tile", "32x48", "--overlap", "0.5", "--batch-size", "2")
    run("predict", small_checkpoint, image_file, *options, "--out", tmp_path / "out")
    (image,) = json.loads((tmp_path / "out" / "results.json").read_text())["images"]
    predictor = splitnest.load(small_checkpoint, device="cpu")
    (expected,) = predictor.predict(image_file, tile=(32, 48), overlap=0.5, batch_size=2)
    scores = [detection["score"] for detection in image["result"]["detections"]]
    assert len(scores) == len(expected) > 0
    assert np.allclose(scores, expected.scores, atol=1e-4)
    assert all(detection["mask"]["size"] == [40, 60] for detection in image["result"]["detections"])
    lines = (tmp_path / "out" / "results.jsonl").read_text()
    run("predict", small_checkpoint, image_file, "--tile", "16", "--out", tmp_path / "out", code=2)
    assert (tmp_path / "out" / "results.jsonl").read_text() == lines  # a wrong option replaces no earlier results


@pytest.mark.parametrize("source", ["no-such-folder/", "*.tiff", "empty"])
def test_no_images(run: Run, small_checkpoint: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    run("predict", small_checkpoint, source, code=3)


def test_classification(run: Run, image_file: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "classes.yaml"
    recipe.write_text("base: resnest14d_imagenet.timm\nmodel.backbone.planes: 16\ninput.size: 64\n")
    text = run("predict", recipe, image_file, "--weights", "none", "--out", tmp_path / "out").stdout
    assert "image.png: " in text
    result = json.loads((tmp_path / "out" / "results.json").read_text())["images"][0]["result"]
    assert len(result["top"]) == 5
