"""Written datasets as independent readers see them: pycocotools, hotcoco, supervision."""

from dataclasses import replace
from pathlib import Path

import hotcoco
import numpy as np
import pytest
from pycocotools.coco import COCO

from helpers import datasets
from helpers.datasets import SIZE, SQUARE, TRIANGLE, instance_of
from splitnest.data.writers.labeled_image import Instance, LabeledImage
from splitnest.structures.categories import from_names

CATEGORIES = from_names(["apple", "pear"])  # hotcoco reads no escaped characters of XML
BOXES = (Instance(0, (3.0, 4.0, 20.0, 30.0)), Instance(1, (10.0, 10.0, 30.0, 20.0)))
MASKS = (instance_of(0, [TRIANGLE]), instance_of(1, [TRIANGLE, SQUARE]), instance_of(1, datasets.mask_rle()))


def write(folder: Path, format: str, instances: tuple[Instance, ...]) -> Path:
    """Write two images, one without instances, and return the folder of the dataset."""
    datasets.write_images(folder / "source", ["a.png", "b.png"])
    images = [LabeledImage("a.png", SIZE, instances), LabeledImage("b.png", SIZE)]
    with_files = [replace(image, path=folder / "source" / image.name) for image in images]
    datasets.write_dataset(folder / format, format, with_files, CATEGORIES, "train")
    return folder / format


def test_coco_in_pycocotools(tmp_path: Path) -> None:
    coco = COCO(str(write(tmp_path, "coco", MASKS) / "annotations" / "instances_train.json"))
    assert [row["name"] for row in coco.loadCats(coco.getCatIds())] == list(CATEGORIES.names)
    assert len(coco.getImgIds()) == 2
    for row, instance in zip(coco.loadAnns(coco.getAnnIds()), MASKS, strict=True):
        assert (coco.annToMask(row) == instance.mask(SIZE)).all()


def boxes_of(coco: hotcoco.COCO) -> list[tuple[str, list[float]]]:
    names = {id_: row["name"] for id_, row in coco.cats.items()}
    return [(names[row["category_id"]], row["bbox"]) for row in coco.anns.values()]


def assert_boxes(found: list[tuple[str, list[float]]], tolerance: float = 1e-6) -> None:
    assert sorted(name for name, _ in found) == list(CATEGORIES.names)
    for (_, box), instance in zip(sorted(found), BOXES, strict=True):
        np.testing.assert_allclose(box, instance.box_xywh, atol=tolerance)


def test_yolo_in_hotcoco(tmp_path: Path) -> None:
    folder = write(tmp_path, "yolo", BOXES)
    (folder / "labels" / "train" / "data.yaml").write_bytes((folder / "data.yaml").read_bytes())
    coco = hotcoco.COCO.from_yolo(str(folder / "labels" / "train"), str(folder / "images" / "train"))
    assert_boxes(boxes_of(coco))


def test_voc_in_hotcoco(tmp_path: Path) -> None:
    assert_boxes(boxes_of(hotcoco.COCO.from_voc(str(write(tmp_path, "voc", BOXES)))), tolerance=1)


def test_cvat_in_hotcoco(tmp_path: Path) -> None:
    folder = write(tmp_path, "cvat", BOXES)
    assert_boxes(boxes_of(hotcoco.COCO.from_cvat(str(folder / "annotations_train.xml"))))


@pytest.mark.parametrize("format", ["coco", "yolo", "voc"])
def test_boxes_in_supervision(tmp_path: Path, format: str) -> None:
    dataset_of = pytest.importorskip("supervision").DetectionDataset
    folder = write(tmp_path, format, BOXES)
    if format == "coco":
        annotations = str(folder / "annotations" / "instances_train.json")
        dataset = dataset_of.from_coco(str(folder / "images" / "train"), annotations)
    elif format == "yolo":
        labels, names = str(folder / "labels" / "train"), str(folder / "data.yaml")
        dataset = dataset_of.from_yolo(str(folder / "images" / "train"), labels, names)
    else:
        dataset = dataset_of.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))
    assert dataset.classes == list(CATEGORIES.names)
    found = next(value for path, value in dataset.annotations.items() if Path(path).name == "a.png")
    np.testing.assert_allclose(found.xyxy, [instance.box_xyxy for instance in BOXES], atol=1)
