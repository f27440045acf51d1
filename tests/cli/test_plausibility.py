"""A training that cannot learn anything, or whose validation has no metrics, says so before it begins."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.command_line import CLASSIFIER, RECIPE, CocoFolder, Run

SEMANTIC: dict[str, Any] = {
    "base": "fcn_resnest101_d8_cityscapes.mmseg",
    "name": "small",
    "model": {"backbone": {"depth": 14, "planes": 16}, "head_channels": 8, "auxiliary_channels": 8},
    "input": {"short_side": 32, "long_side": 48},
    "data": {"format": "folders", "root": ".", "classes": ["background", "crop"], "train_images": "images",
             "train_annotations": "maps", "val_images": "images", "val_annotations": "maps"},
    "train": {"crop_size": [32, 32], "batch_size": 2, "iterations": 1, "init_from": None, "workers": 0},
}  # fmt: skip

DETECTOR: dict[str, Any] = {
    **yaml.safe_load(RECIPE),
    "data": {"root": "coco", "classes": ["circle", "square"], "train_images": "val2017", "val_images": "val2017",
             "train_annotations": "annotations/instances_val2017.json",
             "val_annotations": "annotations/instances_val2017.json"},
    "train": {"batch_size": 2, "iterations": 1, "schedule": "multi_step", "lr": 0.001, "warmup_iterations": 0,
              "evaluate_every": 0, "init_from": None, "short_sides": [64], "long_side": 96, "workers": 0,
              "keep_empty_images": True},
}  # fmt: skip
DETECTOR["model"]["backbone"]["frozen_stages"] = 0
del DETECTOR["data.classes"]


def words(text: str) -> str:
    return " ".join(text.split())


def write_recipe(folder: Path, content: dict[str, Any]) -> None:
    (folder / "small.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def semantic(tmp_path: Path) -> Path:
    """Write a recipe of a segmentor and three images without label maps; return the folder of the label maps."""
    write_recipe(tmp_path, SEMANTIC)
    for kind in ("images", "maps"):
        (tmp_path / kind).mkdir()
    for index in range(3):
        Image.new("RGB", (48, 32), (index, 60, 90)).save(tmp_path / "images" / f"{index}.png")
    return tmp_path / "maps"


def write_maps(folder: Path, *values: int) -> None:
    """Write three label maps of stripes with these values."""
    for index in range(3):
        Image.fromarray(np.resize(np.array(values, np.uint8), (32, 48))).save(folder / f"{index}.png")


@pytest.mark.parametrize("command", [("train",), ("train", "--dry-run"), ("data", "check")])
def test_label_maps_of_0_and_255_alone(run: Run, semantic: Path, command: tuple[str, ...]) -> None:
    write_maps(semantic, 0, 255)
    error = words(run(*command[:2], "small.yaml", *command[2:], code=3).stderr)
    assert "has labeled pixels of one class only, 'background', so there is nothing to learn" in error
    assert "Value 255 means unlabeled. If it marks 'crop' here, write 1 instead" in error
    assert not (semantic.parent / "runs").exists()
    as_told = ["data.label_maps=colors", "data.palette=[[0, 0, 0], [255, 255, 255]]"]
    run("train", "small.yaml", "--dry-run", *as_told)


@pytest.mark.parametrize(
    ("values", "overrides", "message"),
    [
        ((255,), [], "has no labeled pixels, so there is nothing to learn"),
        ((1,), [], "one class only, 'crop'"),
        ((0, 255), ["data.classes=[ground, crop, weed]"], "write class indices from 0 to 2"),
        ((0, 255), ["data.classes=[crop]"], "List the background as a class too"),
        ((7,), [], "has value 7 in 1536 of 1536 pixels"),
    ],
)
def test_label_maps_of_one_class(
    run: Run, semantic: Path, values: tuple[int, ...], overrides: list[str], message: str
) -> None:
    write_maps(semantic, *values)
    assert message in words(run("train", "small.yaml", *overrides, code=3).stderr)


def test_class_without_pixels(run: Run, semantic: Path, tmp_path: Path) -> None:
    """A validation set without any labeled pixel gives no best checkpoint."""
    write_maps(semantic, 0, 1)
    (tmp_path / "void").mkdir()
    write_maps(tmp_path / "void", 255)
    names = "data.classes=[ground, crop, weed]"
    out = words(run("train", "small.yaml", names, "--out", "run").stdout)
    assert "note: training: images has no labeled pixels of 1 of the 3 classes: weed" in out
    assert "note: validation: images has no labeled pixels of 1 of the 3 classes: weed" in out
    done = run("train", "small.yaml", names, "data.val_annotations=void", "--out", "void_run")
    assert "has no labeled pixels, so metrics are undefined and there will be no best.pt" in words(done.stdout)
    assert "miou -" in done.stderr
    assert "best checkpoint" not in done.stdout
    assert not (tmp_path / "void_run" / "best.pt").exists()


@pytest.mark.parametrize("command", [("train",), ("data", "check")])
def test_classification_of_one_class(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    write_recipe(tmp_path, {**CLASSIFIER, "train": {**CLASSIFIER["train"], "init_from": None}})
    for split, color in (("train", "red"), ("val", "red"), ("val", "blue")):
        folder = tmp_path / "colors" / split / color
        folder.mkdir(parents=True)
        for index in range(6):
            Image.new("RGB", (32, 32), color).save(folder / f"{index}.png")
    root = ("data.root=colors", "data.train_images=train", "data.val_images=val")
    error = run(*command, "small.yaml", *root, "data.classes=[blue, red]", code=3).stderr
    assert "has images of one class only, 'red', so there is nothing to learn" in words(error)
    error = run(*command, "small.yaml", *root, "data.val_images=null", code=3).stderr
    assert "has images of one class only, 'red'" in words(error)


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    """Write a recipe of a Mask R-CNN."""
    write_recipe(tmp_path, DETECTOR)
    return tmp_path


def test_detection_without_objects(run: Run, detector: Path, coco: CocoFolder) -> None:
    coco.content["annotations"] = []
    coco.write()
    assert "has no annotations, so there is nothing to train on" in words(run("train", "small.yaml", code=3).stderr)


def test_validation_without_objects(run: Run, detector: Path, coco: CocoFolder) -> None:
    """Every metric is undefined, so no checkpoint is the best."""
    root = coco.write()
    empty = {**coco.content, "annotations": []}
    (root / "annotations" / "empty.json").write_text(json.dumps(empty))
    done = run("train", "small.yaml", "data.val_annotations=annotations/empty.json", "--out", "run")
    assert "empty.json has no instances, so metrics are undefined and there will be no best.pt" in words(done.stdout)
    assert "box_ap -" in done.stderr
    assert not (detector / "run" / "best.pt").exists()
    crowds = [{**each, "iscrowd": 1} for each in coco.content["annotations"]]
    (root / "annotations" / "empty.json").write_text(json.dumps({**coco.content, "annotations": crowds}))
    dry = ("train", "small.yaml", "--dry-run", "data.val_annotations=annotations/empty.json")
    assert "so metrics are undefined" in words(run(*dry).stdout)


def test_excluded_objects_and_absent_classes(run: Run, detector: Path, coco: CocoFolder) -> None:
    """Training in mmdetection's conventions leaves out RLE masks; it says so itself, not only the dry run."""
    square = coco.content["annotations"][1]
    square["segmentation"] = {"size": [40, 60], "counts": [30 * 40 + 10, 10, 30, 10, 1140]}
    coco.write()
    for options in ([], ["--dry-run"]):
        out = words(run("train", "small.yaml", *options).stdout)
        assert "1 of 2 annotations" in out
        assert "excluded: 1 instances with RLE masks (model.conventions.rle_masks=kept trains on them)" in out
        assert "note: training: coco/annotations/instances_val2017.json has no instances of 1 of the 2 classes" in out
    assert "2 of 2 annotations" in run("train", "small.yaml", "--dry-run", "model.conventions.rle_masks=kept").stdout


def test_no_evaluations_are_announced_without_validation(run: Run, detector: Path, coco: CocoFolder) -> None:
    coco.write()
    none = run("train", "small.yaml", "--dry-run", "data.val_images=null").stdout
    assert "evaluations: none, without a validation set" in none
    assert "evaluations: 1, last after step 1" in run("train", "small.yaml", "--dry-run").stdout
