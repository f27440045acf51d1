"""Folders of datasets of each format and layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.tool_exports import (
    Annotated,
    Instance,
    write_coco,
    write_cvat,
    write_images,
    write_label_studio,
    write_labelme,
    write_open_images,
    write_voc,
    write_yolo_labels,
)

FIG, DATE = Instance("fig", (5.0, 5.0, 40.0, 30.0)), Instance("date", (1.0, 2.0, 9.0, 8.0))
TRIANGLE = Instance("fig", (5.0, 6.0, 25.0, 30.0), ((5.0, 6.0), (25.0, 7.0), (15.0, 30.0)))
IMAGES = (Annotated("a.png", 60, 40, (FIG, DATE)), Annotated("b.png", 60, 40, (FIG,)))
POLYGONS = (Annotated("a.png", 60, 40, (TRIANGLE,)), Annotated("b.png", 60, 40, (TRIANGLE, TRIANGLE)))
OTHERS = (Annotated("c.png", 60, 40, (FIG,)),)


def coco(root: Path) -> None:
    write_images(root / "images", IMAGES)
    write_coco(root / "annotations/instances_default.json", IMAGES)  # as CVAT exports it


def roboflow(root: Path) -> None:
    for folder, images in (("train", POLYGONS), ("valid", POLYGONS), ("test", POLYGONS)):
        write_images(root / folder, images)
        write_coco(root / folder / "_annotations.coco.json", images)


def yolo(root: Path) -> None:
    for split, images in (("train", IMAGES), ("val", OTHERS)):
        write_images(root / "images" / split, images)
        write_yolo_labels(root / "labels" / split, images, ["date", "fig"])
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: {0: date, 1: fig}\n")


def yolo_of_roboflow(root: Path) -> None:
    for split, images in (("train", POLYGONS), ("valid", POLYGONS)):
        write_images(root / split / "images", images)
        write_yolo_labels(root / split / "labels", images, ["fig"])
    (root / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['fig']\n")


def yolo_lists(root: Path) -> None:
    write_images(root / "images", [*IMAGES, *OTHERS])
    write_yolo_labels(root / "labels", [*IMAGES, *OTHERS], ["date", "fig"])
    (root / "train.txt").write_text("./images/b.png\n./images/a.png\n")
    (root / "val.txt").write_text("/content/fruit/images/c.png\n")
    (root / "fruit.yaml").write_text("train: train.txt\nval: val.txt\nnames: [date, fig]\n")


def yolo_without_yaml(root: Path) -> None:
    write_images(root / "images", IMAGES)
    write_yolo_labels(root / "labels", IMAGES, ["date", "fig"])
    (root / "labels/classes.txt").write_text("date\nfig\n")


def voc(root: Path) -> None:
    write_images(root / "JPEGImages", [*IMAGES, *OTHERS])
    write_voc(root / "Annotations", [*IMAGES, *OTHERS])
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("a\nb\n")
    (root / "ImageSets/Main/val.txt").write_text("c\n")
    (root / "ImageSets/Main/fig_train.txt").write_text("a 1\nb -1\n")


def voc_without_lists(root: Path) -> None:
    write_images(root / "images", IMAGES)
    write_voc(root / "annotations", IMAGES)


def voc_of_roboflow(root: Path) -> None:
    for split, images in (("train", IMAGES), ("valid", OTHERS)):
        write_images(root / split, images)
        write_voc(root / split, images)


def labelme(root: Path) -> None:
    write_images(root, POLYGONS)
    write_labelme(root, POLYGONS)


def labelme_splits(root: Path) -> None:
    for split, images in (("train", IMAGES), ("val", OTHERS)):
        write_images(root / split, images)
        write_labelme(root / split, images)


def cvat(root: Path) -> None:
    write_images(root / "images", POLYGONS)
    write_cvat(root / "annotations.xml", POLYGONS)


def label_studio(root: Path) -> None:
    write_images(root / "upload", IMAGES)
    write_label_studio(root / "project-1.json", IMAGES)


def open_images(root: Path) -> None:
    for split, images in (("train", IMAGES), ("validation", OTHERS)):
        write_images(root / split, images)
        write_open_images(root / f"{split}-annotations-bbox.csv", images)
    write_open_images(root / "x.csv", IMAGES).unlink()  # the class table of both


def class_folders(root: Path) -> None:
    for name in ("cat", "dog"):
        write_images(root / "flowers" / name, IMAGES)


def class_folders_with_splits(root: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            write_images(root / split / name, IMAGES)


def write_map(path: Path, values: Any, palette: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.resize(np.array(values, np.uint8), (40, 60, *np.shape(values)[1:])))
    if palette is not None:
        image = image.convert("P")
        image.putpalette(palette)
    image.save(path)


def index_maps(root: Path) -> None:
    for split in ("train", "val"):
        write_images(root / "images" / split, IMAGES)
        for image in IMAGES:
            write_map(root / "masks" / split / image.name, [0, 1, 2, 255])
    (root / "classes.txt").write_text("sky\nroad\ncar\n")


def palette_maps(root: Path) -> None:
    write_images(root / "img", IMAGES)
    for image in IMAGES:
        write_map(root / "gt" / image.name, [0, 1], [0, 0, 0, 128, 0, 0])


def color_maps(root: Path) -> None:
    write_images(root / "img", IMAGES)
    for image in IMAGES:
        write_map(root / "gt" / image.name, [[0, 0, 0], [128, 0, 0], [0, 128, 0]])
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nvoid:0,0,0::\nroad:128,0,0::\ncar:0,128,0::\n")


def binary_maps(root: Path) -> None:
    write_images(root / "img", IMAGES)
    for image in IMAGES:
        write_map(root / "gt" / image.name, [0, 255])


def cityscapes(root: Path) -> None:
    for split in ("train", "val"):
        write_images(root / f"leftImg8bit/{split}/ulm", [Annotated("ulm_0_0_leftImg8bit.png", 64, 32)])
        write_map(root / f"gtFine/{split}/ulm/ulm_0_0_gtFine_labelIds.png", [7, 8])


def ade20k(root: Path) -> None:
    for split, name in (("training", "ADE_train_00000001.png"), ("validation", "ADE_val_00000001.png")):
        write_images(root / "images" / split, [Annotated(name, 60, 40)])
        write_map(root / "annotations" / split / name, [0, 1, 150])


def panoptic(root: Path) -> None:
    write_images(root / "val2017", [Annotated("a.png", 60, 40)])
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": [
            {"id": 1, "category_id": 1, "iscrowd": 0}, {"id": 2, "category_id": 2, "iscrowd": 0}]}],
        "categories": [{"id": 1, "name": "cat", "isthing": 1}, {"id": 2, "name": "sky", "isthing": 0}],
    }  # fmt: skip
    write_map(root / "annotations/panoptic_val2017/a.png", [[1, 0, 0], [2, 0, 0]])
    (root / "annotations/panoptic_val2017.json").write_text(json.dumps(content))


def keypoints(root: Path) -> None:
    write_images(root / "images", IMAGES)
    path = write_coco(root / "keypoints.json", IMAGES)
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 2, "name": "fig", "keypoints": ["stem", "tip"], "skeleton": [[1, 2]]}]
    content["annotations"] = [
        {**each, "keypoints": [1, 2, 2, 3, 4, 0], "num_keypoints": 1}
        for each in content["annotations"]
        if each["category_id"] == 2
    ]
    path.write_text(json.dumps(content))
