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
    assert "in percent" in text
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


def rewrite(people: Path, **category: Any) -> None:
    """Change the category of the annotation file."""
    content = json.loads((people / "people.json").read_text())
    content["categories"][0] |= category
    (people / "people.json").write_text(json.dumps(content))


def keypoints_of(folder: Path) -> dict[str, Any]:
    keypoints: dict[str, Any] = yaml.safe_load((folder / "recipe.yaml").read_text())["data"]["keypoints"]
    return keypoints


@pytest.mark.parametrize("names", [["nose", "L_Eye", "R_Eye"], ["nose", "eyeL", "eyeR"], ["nose", "l-hand", "r-hand"]])
def test_flip_pairs_are_found_from_common_spellings(run: Run, people: Path, names: list[str]) -> None:
    rewrite(people, keypoints=names)
    error = run("train", "small.yaml", "--dry-run", f"data.root={people}").stderr
    assert f"flip_pairs are assumed from the names: {names[1]}/{names[2]}" in error
    assert "suggest a body side" not in error


def test_no_flip_where_sides_have_no_pairs(run: Run, people: Path) -> None:
    rewrite(people, keypoints=["nose", "left_hand", "rite_hand"])
    root = f"data.root={people}"
    done = run("train", "small.yaml", root, "--out", "run1")
    assert "left_hand suggest a body side, but no keypoint of the other side is known, so images are flipped" in (
        " ".join(done.stderr.split())
    )
    recipe = yaml.safe_load((people / "run1" / "recipe.yaml").read_text())
    assert (recipe["train"]["flip"], recipe["input"]["flip_test"]) == (0, False)
    run("train", "run1", "--resume")
    assert "suggest" not in run("eval", "run1/last.pt").stderr
    for asked in ("[]", "[[left_hand, rite_hand]]"):
        done = run("train", "small.yaml", root, f"data.keypoints.flip_pairs={asked}", "--dry-run")
        assert "suggest a body side" not in done.stderr
        assert "flip: 0.5" in done.stdout
        assert "flip_test: true" in done.stdout


def test_skeleton_counted_from_0(run: Run, people: Path) -> None:
    rewrite(people, skeleton=[[0, 1], [0, 2]])
    text = run("train", "small.yaml", f"data.root={people}", "--dry-run").stdout
    assert "skeleton: [[nose, left_hand], [nose, right_hand]]" in text
    rewrite(people, skeleton=[[0, 1], [0, 3]])
    error = run("train", "small.yaml", f"data.root={people}", "--dry-run", code=3).stderr
    assert "refers to keypoints 0 and 3, but its keypoints are numbered from 1 to 3, or from 0 to 2" in error


def test_keypoints_in_part_are_completed_from_the_file(run: Run, people: Path) -> None:
    part = ("train", "small.yaml", f"data.root={people}", "--dry-run", "data.keypoints.sigmas=[0.1, 0.2, 0.3]")
    done = run(*part)
    assert "sigmas are assumed" not in done.stderr
    for line in ("names: [nose, left_hand, right_hand]", "sigmas: [0.1, 0.2, 0.3]", "skeleton: [[nose, left_hand]"):
        assert line in done.stdout
    error = run(*part, "data.keypoints.lower_body=[paw]", code=2).stderr
    assert "data.keypoints do not fit those of" in error
    assert "keypoints.lower_body has 'paw', which is not among keypoints.names" in error
    error = run("predict", "small.yaml", "images", "--boxes", "whole", "--weights", "none", code=2).stderr
    assert "does not name its keypoints" in error


def test_several_classes_of_one_skeleton(run: Run, people: Path) -> None:
    """As in AP-10K: all classes are trained together; metrics are means over classes, as in COCO and mmpose."""
    content = json.loads((people / "people.json").read_text())
    (human,) = content["categories"]
    content["categories"] = [{**human, "id": 9, "name": "cat"}, {**human, "id": 4, "name": "dog"},
                             {**human, "id": 2, "name": "car", "keypoints": []}]  # fmt: skip
    for annotation, category in zip(content["annotations"], (9, 4), strict=True):
        annotation["category_id"] = category
    (people / "people.json").write_text(json.dumps(content))
    classes = ("data.classes=[dog, cat, cow]", f"data.root={people}")
    done = run("train", "small.yaml", *classes, "--out", "run1")
    assert "2 of 2 persons in 2 images" in done.stdout
    assert "has no persons with keypoints of 1 of the 3 classes: cow" in " ".join(done.stdout.split())
    text = run("eval", "run1/last.pt", "--results", "results.json").stdout
    assert "per class" in text
    listed = run("train", "small.yaml", "data.classes=file", classes[1], "--dry-run").stdout
    assert "classes: [dog, cat]" in listed  # in the order of the ids, without the car, which has no keypoints
    assert {row["image_id"]: row["category_id"] for row in json.loads((people / "results.json").read_text())} == {
        7: 9,
        9: 4,
    }
    (people / "boxes.json").write_text(
        json.dumps([{"image_id": 7, "category_id": id_, "bbox": [1, 5, 20, 30], "score": 0.9} for id_ in (2, 1, 3, 8)])
    )
    run("predict", "run1/last.pt", "images/000000000007.png", "--boxes", "boxes.json", "--out", "out")
    (image,) = json.loads((people / "out" / "results.json").read_text())["images"]
    assert [person["name"] for person in image["result"]["people"]] == ["cat", "dog", "cow"]
    rewrite(people, keypoints=["a", "b", "c"])
    assert "the keypoints of 'cat' are a, b, c" in run("eval", "run1/last.pt", code=3).stderr


def test_whole_images_as_person_boxes(run: Run, people: Path) -> None:
    recipe = yaml.safe_load((people / "small.yaml").read_text())
    recipe["data"]["keypoints"] = {"names": NAMES}
    (people / "small.yaml").write_text(yaml.safe_dump(recipe))
    run("predict", "small.yaml", "images", "--boxes", "whole", "--weights", "none", "--out", "out")
    for image in json.loads((people / "out" / "results.json").read_text())["images"]:
        assert [person["box"] for person in image["result"]["people"]] == [[0, 0, 60, 40]]


def test_published_metrics_are_printed_in_percent(run: Run) -> None:
    """Pose metrics too, though their sources publish them from 0 to 1."""
    assert "ap 72.1" in run("info", "simplebaseline_resnest50_256x192_coco").stdout


def test_metrics_of_other_datasets(run: Run, people: Path) -> None:
    """PCK, PCKh by head boxes, and NME, in place of AP: printed, as JSON, in a report, and for the best model."""
    root = f"data.root={people}"
    done = run("train", "small.yaml", root, "evaluation.type=nme", "train.best_by=nme", "--out", "run1")
    assert "nme" in done.stdout
    text = run("eval", "run1/best.pt", "evaluation.type=pck", "--report", "report").stdout
    assert [name in text for name in (" pck ", " auc ", " epe ", " ap ")] == [True, True, True, False]
    assert "Distance by keypoint" in (people / "report" / "report.html").read_text()
    assert "has no 'head_box'" in run("eval", "run1/best.pt", "evaluation.type=pckh", code=3).stderr
    content = json.loads((people / "people.json").read_text())
    for row in content["annotations"]:
        row["head_box"] = [8, 8, 30, 40]  # a diagonal of 50 pixels
    (people / "people.json").write_text(json.dumps(content))
    values = json.loads(run("eval", "run1/best.pt", "evaluation.type=pckh", "--json").stdout)
    assert list(values["metrics"]) == ["pckh", "pckh_0_1"]
    error = run("eval", "run1/best.pt", "evaluation.type=pckh", "data.val_detections=boxes.json", code=2).stderr
    assert "Set data.val_detections=null" in error


def test_persons_without_labeled_keypoints(run: Run, people: Path) -> None:
    content = json.loads((people / "people.json").read_text())
    for annotation in content["annotations"]:
        annotation |= {"keypoints": [0] * 9, "num_keypoints": 0}
    (people / "empty.json").write_text(json.dumps(content))
    root = f"data.root={people}"
    error = run("train", "small.yaml", root, "data.train_annotations=empty.json", code=3).stderr
    assert "has no person with keypoints among 2 annotations, so there is nothing to train on" in error
    done = run("train", "small.yaml", root, "data.val_annotations=empty.json", "--out", "run1")
    assert "has no persons with keypoints, so metrics are undefined" in done.stdout
    assert "ap -" in done.stderr
    assert not (people / "run1" / "best.pt").exists()
    content["annotations"][0] |= {"keypoints": [10, 12, 2, 0, 0, 0, 20, 20, 2], "num_keypoints": 2}
    (people / "empty.json").write_text(json.dumps(content))
    out = run("train", "small.yaml", root, "data.train_annotations=empty.json", "train.batch_size=1", "--dry-run",
              "model.norm=gn", "model.backbone.norm=gn").stdout  # fmt: skip
    assert "has no labeled keypoints of 1 of the 3 keypoints: left_hand" in out


def test_data_check(run: Run, people: Path) -> None:
    text = run("data", "check", "small.yaml", f"data.root={people}").stdout
    assert "left_hand" in text
    assert "with keypoints" in text
    (people / "images" / "000000000009.png").unlink()
    assert "000000000009.png" in run("data", "check", "small.yaml", f"data.root={people}", code=3).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
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
