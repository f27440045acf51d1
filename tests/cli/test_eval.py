"""eval on good and on bad data."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers.command_line import CocoFolder, Run
from splitnest.errors import UsageError
from splitnest.evaluation.results_path import check_results
from splitnest.visualize.write import write_image


def test_metrics_and_results(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = run("eval", small_checkpoint, f"data.root={coco.write()}", "--results", results)
    assert "box_ap" in done.stdout
    assert "mask_ap" in done.stdout
    assert "circle" in done.stdout
    assert {r["image_id"] for r in json.loads(results.read_text())} <= {7, 9}


def test_workers_and_batch_size_do_not_change_results(
    run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path
) -> None:
    root = coco.write()
    options = [["--batch-size", "1"], ["--batch-size", "2", "--workers", "2"]]
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, option in zip(files, options, strict=True):
        run("eval", small_checkpoint, f"data.root={root}", "--results", file, *option)
    first, second = (sorted(round(r["score"], 4) for r in json.loads(f.read_text())) for f in files)
    assert first == second


def test_tiles(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    root, files = coco.write(), [tmp_path / "a.json", tmp_path / "b.json"]
    for file, tile in zip(files, ("64", "32"), strict=True):
        options = ("--tile", tile, "--overlap", "0.4", "--batch-size", "2")
        assert "box_ap" in run("eval", small_checkpoint, f"data.root={root}", "--results", file, *options).stdout
    rows = [json.loads(file.read_text()) for file in files]
    assert len(rows[0]) <= 200 < len(rows[1])  # at most 100 detections of a tile


def test_tta(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    root, results = coco.write(), tmp_path / "results.json"
    done = run("eval", small_checkpoint, f"data.root={root}", "--tta", "--workers", "1", "--results", results)
    assert "with TTA" in done.stdout
    rows = json.loads(results.read_text())
    predictor = splitnest.load(small_checkpoint, device="cpu")
    for image_id, name in ((7, "a.png"), (9, "b.png")):
        (expected,) = predictor.predict(root / "val2017" / name, tta=True)
        scores = [row["score"] for row in rows if row["image_id"] == image_id]
        assert np.allclose(scores, expected.scores, atol=1e-4)


def test_missing_root_names_the_key(run: Run, small_checkpoint: Path) -> None:
    assert "data.root=" in run("eval", small_checkpoint, code=2).stderr


def test_dataset_without_annotations(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    del coco.content["annotations"]
    done = run("eval", small_checkpoint, f"data.root={coco.write()}")
    assert "no metrics can be computed" in " ".join(done.stdout.split())
    assert json.loads((tmp_path / "small_results.json").read_text()) is not None


def corrupt(coco: CocoFolder, how: str) -> None:
    annotations, images = coco.content["annotations"], coco.content["images"]
    match how:
        case "unknown category":
            annotations[1]["category_id"] = 99
        case "missing image":
            images[1]["file_name"] = "gone.png"
        case "duplicate image ids":
            images[1]["id"] = 7
        case "duplicate annotation ids":
            annotations[1]["id"] = 1
        case "annotation of no image":
            annotations[1]["image_id"] = 8
        case "other classes":
            coco.content["categories"][0]["name"] = "triangle"


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("unknown category", "99"),
        ("missing image", "gone.png"),
        ("duplicate image ids", "7"),
        ("duplicate annotation ids", "1"),
        ("annotation of no image", "8"),
        ("other classes", "triangle"),
    ],
)
def test_bad_annotations(run: Run, small_checkpoint: Path, coco: CocoFolder, how: str, named: str) -> None:
    corrupt(coco, how)
    error = run("eval", small_checkpoint, f"data.root={coco.write()}", code=3).stderr
    assert named in error


def test_unusual_boxes_are_reported_and_evaluated(run: Run, small_checkpoint: Path, coco: CocoFolder) -> None:
    coco.content["annotations"][0]["bbox"] = [50, 30, 40, 40]  # outside
    coco.content["annotations"][1]["bbox"] = [5, 5, 0, 10]  # without area
    done = run("eval", small_checkpoint, f"data.root={coco.write()}")
    assert "crosses the image border" in done.stderr
    assert "area" in done.stderr
    assert "box_ap" in done.stdout


def test_missing_files(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    annotations = "annotations/instances_val2017.json"
    error = run("eval", small_checkpoint, f"data.root={tmp_path}", code=3).stderr
    assert f"{tmp_path / annotations} cannot be read" in error
    root = coco.write()
    (root / "val2017").rename(root / "images")
    assert "val2017 is not a folder" in run("eval", small_checkpoint, f"data.root={root}", code=3).stderr
    (root / annotations).write_text('{"images": [')
    assert "instances_val2017.json" in run("eval", small_checkpoint, f"data.root={root}", code=3).stderr


PANOPTIC = """\
base: panoptic_fpn_resnest200_3x_coco.detectron2
name: small
model:
  fpn_channels: 16
  box_conv_channels: 16
  box_fc_channels: 16
  mask_channels: 16
  panoptic: {channels: 16, min_stuff_area: 1}
  backbone: {depth: 14, planes: 16}
input: {short_side: 64, long_side: 96}
data:
  format: scenes
  train_count: 1
  val_count: 2
  height: 64
  width: 80
  classes: [person, car, house, tree, boat, bird, ball, balloon]
  stuff: [sky, mountain, ground, water, road, wall]
"""


SEMANTIC = """\
base: pspnet_resnest101_d8_cityscapes.mmseg
name: small
model:
  head_channels: 16
  auxiliary_channels: 16
  backbone: {depth: 14, planes: 16}
input: {short_side: 64, long_side: 96}
data:
  format: scenes
  train_count: 1
  val_count: 2
  height: 64
  width: 80
  classes: [person, car, house, tree, boat, bird, ball, balloon, sky, mountain, ground, water, road, wall]
"""


def test_semantic(run: Run, tmp_path: Path, image_file: Path) -> None:
    recipe, results = tmp_path / "semantic.yaml", tmp_path / "maps"
    recipe.write_text(SEMANTIC)
    done = run("eval", recipe, "--weights", "none", "--results", results, "--tta")
    for word in ("miou", "macc", "pixel_accuracy", "iou", "accuracy", "balloon", "mountain", "measured, with TTA"):
        assert word in done.stdout
    assert "test-dev" not in done.stdout
    assert sorted(path.name for path in results.iterdir()) == ["scene 0.png", "scene 1.png"]
    run("predict", recipe, image_file, "--weights", "none", "--out", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "image.jpg",
        "image_map.png",
        "results.json",
        "results.jsonl",
    }


def test_panoptic(run: Run, tmp_path: Path) -> None:
    recipe, results = tmp_path / "panoptic.yaml", tmp_path / "results.json"
    recipe.write_text(PANOPTIC)
    done = run("eval", recipe, "--weights", "none", "--results", results)
    for word in ("pq_things", "rq_stuff", "mask_ap", "balloon", "mountain"):
        assert word in done.stdout
    assert [row["image_id"] for row in json.loads(results.read_text())["annotations"]] == [1, 2]
    assert len(list((tmp_path / "results").glob("*.png"))) == 2
    error = run("eval", recipe, "--weights", "none", "--results", tmp_path / "results", code=2).stderr
    assert "suffix .json" in error
    error = run("eval", recipe, "--weights", "none", "--tta", code=2).stderr
    assert "no test-time augmentation" in error


def test_results_replace_no_file_of_others(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    root = coco.write()
    annotations = root / "annotations" / "instances_val2017.json"
    (tmp_path / "notes.json").write_text('{"notes": 1}')
    checkpoint = tmp_path / "model.safetensors"
    checkpoint.write_bytes(small_checkpoint.read_bytes())
    os.mkfifo(tmp_path / "pipe.json")
    for results, reason, code in (
        (annotations, "is read, so it is not written", 2),
        (checkpoint, "is read, so it is not written", 2),
        (tmp_path / "notes.json", "notes.json exists and is not a result of an evaluation", 2),
        (root, "is a folder. Give a file name with the suffix .json", 2),
    ):
        before = results.read_bytes() if results.is_file() else b""
        done = run("eval", checkpoint, f"data.root={root}", "--results", results, code=code)
        assert reason in done.stderr
        assert "evaluating" not in done.stderr
        assert before == (results.read_bytes() if results.is_file() else b"")
    done = run("eval", checkpoint, f"data.root={root}", "--results", tmp_path / "pipe.json", code=5)
    assert "no process reads this named pipe" in done.stderr


def test_label_maps_replace_no_file_of_others(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("L", (4, 3)).save(theirs)
    write_image(ours, np.zeros((3, 4), np.uint8))
    check_results([tmp_path / "new" / "c.png", ours], [])
    with pytest.raises(UsageError, match=r"a\.png exists and is not a result of an evaluation"):
        check_results([ours, theirs], [])
    (tmp_path / "predictions.csv").write_text("my,table\n")
    with pytest.raises(UsageError, match=r"predictions\.csv exists"):
        check_results([tmp_path / "predictions.csv"], [])
