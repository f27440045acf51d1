"""Rows of the library ``datasets`` of Hugging Face as data of a training, which is optional here."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import splitnest
from helpers.image_tree import SMALL
from helpers.python_data import SceneItems
from helpers.tiny_detector import CLASSES, CONTENT
from splitnest.data.adapters import HuggingFaceRows
from splitnest.data.formats.label_map_folders import index_encoding
from splitnest.data.items import Items
from splitnest.data.scenes.classes import CATEGORIES
from splitnest.data.semantic.sequence import SequenceSemantic

datasets = pytest.importorskip("datasets")


def scene_rows(count: int) -> tuple[SceneItems, list[dict[str, Any]]]:
    items = SceneItems(count)
    rows = []
    for scene in items.scenes:
        corners = [each.box.tolist() for each in scene.objects]
        boxes = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in corners]
        labels = [each.label for each in scene.objects]
        segmentation = [[np.ravel(polygon).tolist() for polygon in each.polygons] for each in scene.objects]
        rows.append({"image": Image.fromarray(scene.image), "boxes": boxes, "labels": labels, "polygons": segmentation})
    return items, rows


def of_columns(rows: list[dict[str, Any]]) -> Any:
    """Return rows whose objects are a mapping of lists, as older data sets and ``Sequence`` give them."""
    features = datasets.Features(
        image=datasets.Image(),
        objects={
            "bbox": datasets.List(datasets.List(datasets.Value("float32"), length=4)),
            "category": datasets.List(datasets.ClassLabel(names=list(CLASSES))),
            "segmentation": datasets.List(datasets.List(datasets.List(datasets.Value("float64")))),
        },
    )
    content = [
        {
            "image": row["image"],
            "objects": {"bbox": row["boxes"], "category": row["labels"], "segmentation": row["polygons"]},
        }
        for row in rows
    ]
    return datasets.Dataset.from_list(content, features=features)


def of_objects(rows: list[dict[str, Any]]) -> Any:
    """Return rows whose objects are a list of mappings."""
    content = [
        {
            "image": row["image"],
            "objects": [
                {"bbox": box, "category_id": label, "segmentation": polygons}
                for box, label, polygons in zip(row["boxes"], row["labels"], row["polygons"], strict=True)
            ],
        }
        for row in rows
    ]
    return datasets.Dataset.from_list(content)


@pytest.mark.parametrize("make", [of_columns, of_objects])
def test_rows_of_objects_equal_the_scenes(make: Any) -> None:
    items, rows = scene_rows(3)
    adapter = HuggingFaceRows(make(rows).select([2, 0]), target="objects")
    assert len(adapter) == 2
    for index, scene in enumerate((2, 0)):
        image, instances = adapter[index]
        assert np.array_equal(np.asarray(image), items[scene][0])
        for found in (instances, adapter.target(index)):
            assert np.array_equal(found.boxes, items.label(scene).boxes)
            assert np.array_equal(found.labels, items.label(scene).labels)
            for polygons, expected in zip(found.masks, items.label(scene).masks, strict=True):
                assert all(np.array_equal(one, other) for one, other in zip(polygons, expected, strict=True))


def test_image_without_objects() -> None:
    empty: dict[str, Any] = {"image": Image.new("RGB", (6, 4)), "boxes": [], "labels": [], "polygons": []}
    for make in (of_columns, of_objects):
        _, rows = scene_rows(1)
        _, instances = HuggingFaceRows(make([empty, *rows]), target="objects")[0]
        assert len(instances) == 0


def test_label_maps_are_images() -> None:
    items, rows = scene_rows(2)
    content = [
        {"image": row["image"], "map": Image.fromarray(scene.semantic)}
        for row, scene in zip(rows, items.scenes, strict=True)
    ]
    features = datasets.Features(image=datasets.Image(), map=datasets.Image())
    adapter = HuggingFaceRows(datasets.Dataset.from_list(content, features=features), target="map")
    dataset = SequenceSemantic(Items(adapter, "data"), CATEGORIES, index_encoding(CATEGORIES))
    assert np.array_equal(dataset.labels(1), items.scenes[1].semantic)


def test_mask_rcnn_trains_on_rows_as_on_items(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    content["train"] |= {"epochs": 1, "workers": 2}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    items, rows = scene_rows(8)
    of_rows = splitnest.train(
        path, train_data=HuggingFaceRows(of_columns(rows), target="objects"), out=tmp_path / "rows", device="cpu"
    )
    of_items = splitnest.train(path, train_data=items, out=tmp_path / "items", device="cpu")
    assert of_rows.last.exists()
    losses = [(run.folder / "metrics.csv").read_text().splitlines()[1].split(",")[:6] for run in (of_rows, of_items)]
    assert losses[0] == losses[1]


def test_classifier_trains_and_is_evaluated_on_rows(tmp_path: Path) -> None:
    rng, names = np.random.default_rng(0), ["blue", "green", "red"]
    rows = [
        {
            "image": Image.fromarray(
                rng.integers(0, 60, (36, 40, 3), np.uint8) + np.eye(3, dtype=np.uint8)[2 - label] * 150
            ),
            "label": label,
        }
        for label in (0, 1, 2) * 4
    ]
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=names))
    data = datasets.Dataset.from_list(rows, features=features).train_test_split(test_size=3, seed=0)
    content = copy.deepcopy(SMALL) | {"base": "resnest50_imagenet.official"}
    content["data"] = {"classes": data["train"].features["label"].names}
    content["train"] |= {"epochs": 2, "evaluate_every": 0, "batch_size": 3, "init_from": None}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    parts = {f"{ours}_data": HuggingFaceRows(data[theirs]) for ours, theirs in (("train", "train"), ("val", "test"))}
    run = splitnest.train(path, out=tmp_path / "run", device="cpu", **parts)
    metrics = splitnest.evaluate(splitnest.load(run.last, device="cpu"), data=parts["val_data"])
    assert metrics["top1"] == run.metrics["top1"]
