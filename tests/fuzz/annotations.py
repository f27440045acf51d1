"""Fuzzing of annotation files of every format, through the check of the dataset and its training samples."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers import image_tree, panoptic_tree, person_tree
from helpers.command_line import CocoFolder
from helpers.fuzzing import Case
from helpers.mutations import mutate_bytes, mutate_tree
from splitnest import zoo
from splitnest.data.pose.person_boxes import read_person_boxes
from splitnest.errors import SplitnestError
from splitnest.inference.resolve import complete
from splitnest.models.build import build_categories
from splitnest.recipe import Recipe, overrides
from splitnest.tasks import task_of

BOX = "<bndbox><xmin>5</xmin><ymin>6</ymin><xmax>30</xmax><ymax>28</ymax></bndbox>"
OBJECT = f"<object><name>{{}}</name><difficult>0</difficult>{BOX}</object>"
XML = "<annotation><size><width>60</width><height>40</height><depth>3</depth></size>{}</annotation>"


@dataclass(frozen=True)
class Tree:
    """Valid dataset; one of ``files`` is mutated in each case."""

    root: Path
    recipe: Recipe
    files: dict[str, bytes]

    @classmethod
    def of(cls, root: Path, recipe: Recipe, *patterns: str) -> "Tree":
        paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
        return cls(root, recipe, {str(path.relative_to(root)): path.read_bytes() for path in paths})


def start(folder: Path) -> Case:
    """Write the valid datasets, and return the function of a case."""
    trees = [make(folder / make.__name__) for make in (_coco, _voc, _yolo, _people, _panoptic, _classes, _label_maps)]

    def run(rng: random.Random) -> None:
        tree = rng.choice(trees)
        name = rng.choice(list(tree.files))
        data = _mutated(rng, tree.files[name], is_json=name.endswith(".json"))
        (tree.root / name).write_bytes(data)
        errors: list[SplitnestError] = []
        try:
            for read in (_check, _train, _boxes):
                _collect(errors, read, tree, tree.root / name)
        finally:
            (tree.root / name).write_bytes(tree.files[name])
        if errors:
            raise errors[0]

    return run


def _mutated(rng: random.Random, data: bytes, *, is_json: bool) -> bytes:
    if is_json and rng.random() < 0.75:
        data = json.dumps(mutate_tree(rng, json.loads(data))).encode()
        return mutate_bytes(rng, data) if rng.random() < 0.1 else data
    return mutate_bytes(rng, data)


def _collect(errors: list[SplitnestError], read: Callable[[Tree, Path], None], tree: Tree, path: Path) -> None:
    try:
        read(tree, path)
    except SplitnestError as error:
        errors.append(error)


def _check(tree: Tree, _: Path) -> None:
    recipe = complete(tree.recipe)
    task = task_of(recipe)
    dataset = task.open_dataset(recipe, "train")
    task.check(dataset, recipe, "train").raise_faults()


def _train(tree: Tree, _: Path) -> None:
    recipe = complete(tree.recipe)
    task = task_of(recipe)
    dataset = task.open_dataset(recipe, "train")
    samples = task.training_set(dataset, recipe)
    samples.summary()
    for index in range(min(len(samples), 3)):
        samples[0, index]
    for index in range(min(len(dataset), 3)):
        task.ground_truth(dataset, index, recipe)


def _boxes(tree: Tree, path: Path) -> None:
    if path.suffix == ".json":
        read_person_boxes(path, build_categories(tree.recipe)[0])


def _splits(images: str, annotations: str | None) -> dict[str, Any]:
    values = {"images": images, "annotations": annotations}
    return {f"data.{split}_{key}": value for split in ("train", "val") for key, value in values.items()}


def _recipe(base: str, changes: dict[str, Any]) -> Recipe:
    return overrides.apply(zoo.get(base), {"name": "small", **changes})


def _write_images(folder: Path, names: str) -> None:
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for name in names:
        Image.fromarray(pixels).save(folder / f"{name}.png")


def _coco(root: Path) -> Tree:
    content = CocoFolder(root).content
    content["annotations"].append(
        {"id": 3, "image_id": 9, "category_id": 3, "bbox": [0, 0, 60, 40], "area": 2400, "iscrowd": 1,
         "segmentation": {"size": [40, 60], "counts": [1200, 1200]}}
    )  # fmt: skip
    _write_images(root / "images", "ab")
    (root / "train.json").write_text(json.dumps(content))
    changes = {"data.classes": ["circle", "square"], "data.root": str(root), **_splits("images", "train.json")}
    recipe = _recipe("mask_rcnn_resnest50_fpn_1x_coco.detectron2", changes)
    return Tree.of(root, recipe, "train.json")


def _voc(root: Path) -> Tree:
    _write_images(root / "images", "ab")
    (root / "Annotations").mkdir()
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "train.txt").write_text("a\nb\n")
    (root / "Annotations" / "a.xml").write_text(XML.format(OBJECT.format("circle") + OBJECT.format("square")))
    (root / "Annotations" / "b.xml").write_text(XML.format(""))
    changes = {"data.format": "voc", "data.classes": ["circle", "square"], "data.root": str(root)}
    recipe = _recipe("faster_rcnn_resnest50_fpn_1x_coco.mmdet", {**changes, **_splits("images", "ImageSets/train.txt")})
    return Tree.of(root, recipe, "**/*.txt", "**/*.xml")


def _yolo(root: Path) -> Tree:
    _write_images(root / "images" / "train", "ab")
    (root / "labels" / "train").mkdir(parents=True)
    (root / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.2 0.3\n1 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.4\n")
    (root / "labels" / "train" / "b.txt").write_text("1 0.25 0.25 0.5 0.5\n")
    changes = {"data.format": "yolo", "data.classes": ["circle", "square"], "data.root": str(root)}
    recipe = _recipe("faster_rcnn_resnest50_fpn_1x_coco.mmdet", {**changes, **_splits("images/train", "labels/train")})
    return Tree.of(root, recipe, "**/*.txt")


def _people(root: Path) -> Tree:
    data = person_tree.write(root)
    data["keypoints"] = None
    (root / "boxes.json").write_text(
        json.dumps([{"image_id": 3, "category_id": 1, "bbox": [5, 5, 20, 20], "score": 0.9}])
    )
    data["val_detections"] = "boxes.json"
    return Tree.of(root, person_tree.recipe_of(data), "*.json")


def _panoptic(root: Path) -> Tree:
    root.mkdir()
    panoptic_tree.write(root)
    panoptic_tree.instances(root)
    changes = {
        **{"data.classes": ["cat", "dog"], "data.stuff": ["sky", "sea"], "data.root": str(root)},
        **_splits(".", "train.json"),
        **{"data.train_instances": "instances.json", "data.val_instances": "instances.json"},
    }
    return Tree.of(root, _recipe("panoptic_fpn_resnest200_3x_coco.detectron2", changes), "*.json", "train/*.png")


def _classes(root: Path) -> Tree:
    image_tree.write_classes(root, {"images": 1})
    (root / "list.csv").write_text("".join(f"{name}/images0.png,{name}\n" for name in image_tree.COLORS))
    changes = {"data.classes": list(image_tree.COLORS), **_splits("images", "list.csv")}
    recipe = overrides.apply(image_tree.recipe_of(root), changes)
    return Tree.of(root, recipe, "*.csv")


def _label_maps(root: Path) -> Tree:
    _write_images(root / "images", "ab")
    (root / "maps").mkdir()
    labels = np.random.default_rng(1).integers(0, 2, (40, 60), np.uint8)
    for name in "ab":
        Image.fromarray(labels).save(root / "maps" / f"{name}.png")
    changes = {"data.format": "folders", "data.classes": ["ground", "crop"], "data.root": str(root)}
    recipe = _recipe("fcn_resnest101_d8_cityscapes.mmseg", {**changes, **_splits("images", "maps")})
    return Tree.of(root, recipe, "maps/*.png")
