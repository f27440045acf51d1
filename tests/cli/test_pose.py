"""Pose estimation on the command line: person boxes, evaluation, data, errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.command_line import Run

NAMES = ["nose", "left_hand", "right_hand"]
RECIPE: dict[str, Any] = {
    "base": "simplebaseline_resnest50_256x192_coco.mmpose",
    "name": "small",
    "model": {"backbone": {"depth": 14, "planes": 16, "stem_width": 16}, "deconv_channels": [8, 8, 8]},
    "input": {"height": 64, "width": 64},
    "data": {"val_detections": None, "keypoints": None, "val_images": "images", "val_annotations": "people.json",
             "train_images": "images", "train_annotations": "people.json"},
    "train": {"batch_size": 2, "epochs": 1, "init_from": None, "workers": 0, "warmup_iterations": 0,
              "schedule": "multi_step"},
}  # fmt: skip


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Write images, annotations, boxes and a recipe; return the folder."""
    (tmp_path / "images").mkdir()
    for number in (7, 9):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number:012}.png")
    keypoints = [10, 12, 2, 30, 14, 1, 20, 20, 2]
    content = {
        "images": [{"id": id_, "file_name": f"{id_:012}.png", "height": 40, "width": 60} for id_ in (7, 9)],
        "annotations": [
            {"id": id_, "image_id": id_, "category_id": 1, "bbox": [5, 5, 40, 30], "area": 900, "iscrowd": 0,
             "keypoints": keypoints, "num_keypoints": 3}
            for id_ in (7, 9)
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}],
    }  # fmt: skip
    (tmp_path / "people.json").write_text(json.dumps(content))
    rows = [{"image_id": 7, "category_id": 1, "bbox": [x, 5, 20, 30], "score": 0.9} for x in (1, 30)]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(RECIPE))
    return tmp_path


def test_train_evaluate_predict(run: Run, people: Path) -> None:
    root = f"data.root={people}"
    done = run("train", "small.yaml", root, "--out", "run1")
    assert "note: data.keypoints.sigmas are assumed" in done.stderr
    text = run("eval", "run1/last.pt", "--results", "results.json", "--batch-size", "4").stdout
    assert "ap_medium" in text
    assert len(json.loads((people / "results.json").read_text())) == 2
    out = run("predict", "run1/last.pt", "images", "--boxes", "boxes.json", "--out", "out").stdout
    assert "000000000007.png: 2 person" in out
    first, second = (row["result"] for row in json.loads((people / "out" / "results.json").read_text())["images"])
    assert (len(first["people"]), len(second["people"])) == (2, 0)
    assert first["keypoint_names"] == NAMES
    assert first["people"][0]["box"] == [1, 5, 21, 35]
    with Image.open(people / "out" / "000000000007.jpg") as drawing:
        assert drawing.size == (60, 40)


def test_person_boxes_of_a_detector(run: Run, people: Path, small_recipe: Path) -> None:
    """Boxes come from the detector itself, or from the results that it wrote before."""
    detector = people / "detector.yaml"
    detector.write_text(small_recipe.read_text().replace("[circle, square]", "[person, dog]"))
    arguments = ("predict", "small.yaml", "images", "--weights", "none")
    keypoints = yaml.safe_load((people / "small.yaml").read_text())
    keypoints["data"]["keypoints"] = {"names": NAMES}
    (people / "small.yaml").write_text(yaml.safe_dump(keypoints))
    run(*arguments, "--detector", detector, "--detector-weights", "none", "--out", "a")
    run("predict", detector, "images", "--weights", "none", "--out", "detected")
    run(*arguments, "--boxes", "detected/results.json", "--out", "b")
    for folder in "ab":
        assert len(json.loads((people / folder / "results.json").read_text())["images"]) == 2


def test_data_check(run: Run, people: Path) -> None:
    text = run("data", "check", "small.yaml", f"data.root={people}").stdout
    assert "left_hand" in text
    assert "with keypoints" in text
    (people / "images" / "000000000009.png").unlink()
    assert "000000000009.png" in run("data", "check", "small.yaml", f"data.root={people}", code=3).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["predict", "{recipe}", "images"], 2, "needs person boxes: give them (boxes_xywh, --boxes) or a detector"),
        (["predict", "{recipe}", "images", "--boxes", "absent.json"], 3, "absent.json cannot be read"),
        (
            ["predict", "{recipe}", "images", "--boxes", "people.json"],
            3,
            "nor the results of splitnest predict",
        ),
        (["predict", "{recipe}", "images", "--boxes", "boxes.json", "--tta"], 2, "no test-time augmentation"),
        (["predict", "{recipe}", "images", "--boxes", "boxes.json", "--detector", "nobody"], 2, "nobody"),
        (
            ["predict", "resnest14d_imagenet.timm", "images", "--boxes", "boxes.json"],
            2,
            "takes neither person boxes",
        ),
        (["eval", "{recipe}", "data.val_detections=absent.json"], 3, "absent.json cannot be read"),
        (["eval", "{recipe}", "data.keypoints=coco"], 3, "those of the model are nose, left_eye"),
        (["eval", "{recipe}", "data.keypoints.names=[a, a]"], 2, "keypoints.names lists 'a' more than once"),
        (["eval", "{recipe}", "input.width=50"], 2, "multiple of 32"),
    ],
)
def test_errors(run: Run, people: Path, arguments: list[str], code: int, message: str) -> None:
    command, *rest = (argument.format(recipe="small.yaml") for argument in arguments)
    recipe = yaml.safe_load((people / "small.yaml").read_text())
    recipe["data"]["root"] = str(people)
    (people / "small.yaml").write_text(yaml.safe_dump(recipe))
    assert message in " ".join(run(command, *rest, "--weights", "none", code=code).stderr.split())
