"""Files that are neither a recipe nor a checkpoint are recognized, and the message says what to do."""

import json
from pathlib import Path

import pytest
import torch

from splitnest.errors import UsageError, WeightsError
from splitnest.inference.foreign_files import foreign_file
from splitnest.inference.resolve import read_recipe

FILES = {
    "empty.json": ("", "a JSON file, not a model"),
    "data.yaml": ("path: ../fruit\ntrain: images/train\nnames: {0: apple, 1: pear}\n", "description of YOLO"),
    "yolov8n.yaml": ("nc: 80\nbackbone: []\nhead: []\n", "a network of Ultralytics"),
    "solver.yaml": ("SOLVER: {BASE_LR: 0.02}\n", "a part of a configuration of detectron2, without MODEL"),
    "metafile.yml": ("Collections: []\nModels: []\n", "an index of published models"),
    "a.json": (json.dumps({"shapes": [], "imagePath": "a.jpg"}), "a labelme annotation"),
    "train.json": (json.dumps({"images": [], "annotations": [], "categories": []}), "an annotation file of COCO"),
    "boxes.json": (json.dumps([{"image_id": 1, "category_id": 1}]), "detection results of COCO"),
    "results.json": (json.dumps({"model": "x", "images": [], "failed": []}), "results of 'splitnest predict'"),
    "a.xml": ("<annotation/>", "an annotation of Pascal VOC"),
    "train.txt": ("a\nb\n", "a text file"),
    "photo.JPG": ("", "an image. Give the model before the images"),
    "weights.zip": ("", "an archive"),
    "model.engine": ("", "a model of another runtime"),
    "model.pt2": ("", "a file of torch.export"),
}


@pytest.mark.parametrize("name", FILES)
def test_kinds_of_files(tmp_path: Path, name: str) -> None:
    text, kind = FILES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=rf"{name} is .*{kind}"):
        read_recipe(tmp_path / name)


def test_checkpoint_of_any_name_is_read(tmp_path: Path) -> None:
    for name in ("a.pth.tar", "b.zip", "c.json"):
        torch.save({"weight": torch.zeros(1)}, tmp_path / name)
        with pytest.raises(WeightsError, match=f"{name} has neither a recipe nor a configuration"):
            read_recipe(tmp_path / name)


def test_recipes_and_unknown_files_are_not_foreign(tmp_path: Path) -> None:
    for name, text in {"a.yaml": "base: resnest50\nnames: [a]\n", "b.yaml": "", "c.yml": "[", "d.pth": "x"}.items():
        (tmp_path / name).write_text(text)
        assert foreign_file(tmp_path / name) is None
    with pytest.raises(WeightsError, match=r"d\.pth is not a checkpoint"):
        read_recipe(tmp_path / "d.pth")
