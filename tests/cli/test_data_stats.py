"""data stats and the duplicates of data check, for every task."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers import datasets, image_tree
from helpers.command_line import Run
from helpers.datasets import SIZE, instance_of
from splitnest.data.writers.labeled_image import Instance, LabeledImage
from splitnest.structures.categories import from_names


def write_dataset(folder: Path) -> None:
    """Write three images with boxes, of which two are the same file."""
    source = folder.parent / "source"
    datasets.write_images(source, ["a.png", "b.png", "c&<c>.png"])
    (source / "b.png").write_bytes((source / "a.png").read_bytes())
    images = [
        LabeledImage("a.png", SIZE, (Instance(0, (3, 4, 20, 30)), instance_of(1, [datasets.SQUARE])), source / "a.png"),
        LabeledImage("b.png", SIZE, (Instance(0, (0, 0, 0, 0)),), source / "b.png"),
        LabeledImage("c&<c>.png", SIZE, (), source / "c&<c>.png"),
    ]
    datasets.write_dataset(folder, "coco", images, from_names(["<b>apple</b>", "pear", "plum"]))


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())


def test_page_of_boxes(run: Run, tmp_path: Path) -> None:
    write_dataset(tmp_path / "in")
    assert "3 images, 3 annotations, 3 classes: page.html" in run("data", "stats", "in", "--out", "page.html").stdout
    page = (tmp_path / "page.html").read_text()
    text = text_of(page)
    assert "3 images, 3 instances, 3 classes." in text
    assert "Without any: plum." in text
    assert "1 group of images that are the same file or look the same. The same file all: a.png = all: b.png" in text
    assert "64 x 48 3" in text
    assert "<b>apple" not in page
    assert "&lt;b&gt;apple&lt;/b&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    run("data", "stats", "in", "--out", "page.html")  # replaces its own page by an equal one
    assert (tmp_path / "page.html").read_text() == page


def test_dataset_without_annotations(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    datasets.write_images(source, ["a.png"])
    images = [LabeledImage("a.png", SIZE, (), source / "a.png")]
    datasets.write_dataset(tmp_path / "in", "yolo", images, from_names(["apple"]))
    run("data", "stats", "in")
    assert "1 images, 0 instances, 1 classes." in text_of((tmp_path / "statistics.html").read_text())


def test_page_of_image_folders_and_label_maps(run: Run, tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path / "classes", {"train": 4, "val": 2})
    run("data", "stats", "classes", "--out", "classes.html")
    assert "Classes in one image" in text_of((tmp_path / "classes.html").read_text())
    datasets.write_images(tmp_path / "maps" / "images" / "train", ["a.png", "b.png"])
    for name, label in (("a.png", 0), ("b.png", 1)):
        labels = np.zeros(SIZE, np.uint8)
        labels[:20] = label
        (tmp_path / "maps" / "masks" / "train").mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(tmp_path / "maps" / "masks" / "train" / name)
    run("data", "stats", "maps", "--out", "maps.html")
    assert "2 images" in text_of((tmp_path / "maps.html").read_text())


def test_refusals(run: Run, tmp_path: Path) -> None:
    write_dataset(tmp_path / "in")
    (tmp_path / "mine.html").write_text("mine")
    assert "is not replaced" in run("data", "stats", "in", "--out", "mine.html", code=2).stderr
    assert "none does not exist" in run("data", "stats", "none", code=3).stderr


RECIPES: dict[str, dict[str, Any]] = {
    "detection": {
        "base": "faster_rcnn_resnest50_fpn_1x_coco.mmdet",
        "name": "small",
        "data": {
            "classes": ["apple"],
            "root": ".",
            "format": "yolo",
            "train_images": "images/train",
            "val_images": "images/val",
        },
    },
    "classification": {
        "base": "resnest50_imagenet.official",
        "name": "small",
        "data": {"classes": ["apple", "pear"], "root": "classes", "train_images": "train", "val_images": "val"},
    },
}


@pytest.mark.parametrize("task", RECIPES)
def test_check_finds_leaks_between_splits(run: Run, tmp_path: Path, task: str) -> None:
    folders = {
        "detection": ("images/train", "images/val"),
        "classification": ("classes/train/apple", "classes/val/apple"),
    }
    train, val = (tmp_path / folder for folder in folders[task])
    datasets.write_images(train, ["a.png", "b.png"])
    if task == "detection":
        for folder in ("train", "val"):
            (tmp_path / "labels" / folder).mkdir(parents=True)
            (tmp_path / "labels" / folder / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    else:
        for split in ("train", "val"):
            datasets.write_images(tmp_path / "classes" / split / "pear", [f"{split}.png"])
    val.mkdir(parents=True, exist_ok=True)
    (val / "a.png").write_bytes((train / "b.png").read_bytes())
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPES[task]))
    stdout = run("data", "check", "recipe.yaml").stdout
    assert "note: image in several splits, so metrics are too high (the same file): " in stdout.replace("\n", " ")
    assert re.search(r"train: (apple/)?b.png = val: (apple/)?a.png", stdout)
