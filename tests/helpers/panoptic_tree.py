"""Small panoptic dataset in the layout of COCO."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splitnest.structures.categories import from_names, with_stuff

CLASSES = with_stuff(from_names(["cat", "dog"]), ["sky", "sea"])
ROWS = [
    {"id": 1, "name": "cat", "isthing": 1},
    {"id": 2, "name": "dog", "isthing": 1},
    {"id": 3, "name": "sky", "isthing": 0},
    {"id": 4, "name": "sea", "isthing": 0},
]
PIXELS = np.array([[0, 0, 7, 7, 7], [70_000, 70_000, 300, 300, 7], [70_000, 70_000, 300, 300, 9]])
SEGMENTS = [
    {"id": 300, "category_id": 2, "iscrowd": 0},
    {"id": 7, "category_id": 4, "iscrowd": 0},
    {"id": 70_000, "category_id": 1},
    {"id": 9, "category_id": 1, "iscrowd": 1},
]
"""Segments of ``PIXELS``: a dog and a cat of 2 x 2 pixels each, sea, and a crowd of cats of one pixel."""


def write(folder: Path, name: str = "train", **content: Any) -> Path:
    """Write two images of 5 x 3 pixels with segments; ``content`` replaces keys of the JSON file, which is returned."""
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 3, "width": 5} for n in (4, 2)]
    annotations = [
        {"image_id": 2, "file_name": "2.png", "segments_info": []},
        {"image_id": 4, "file_name": "4.png", "segments_info": SEGMENTS},
    ]
    for image in images:
        Image.new("RGB", (5, 3)).save(folder / str(image["file_name"]))
    (folder / name).mkdir()
    write_png(folder / name / "2.png", np.zeros((3, 5), int))
    write_png(folder / name / "4.png", PIXELS)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": ROWS, **content}))
    return path


def write_png(path: Path, ids: np.ndarray) -> None:
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=2).astype(np.uint8)).save(path)


def instances(folder: Path, numbers: tuple[int, ...] = (2, 4), **image: Any) -> Path:
    """Write an annotation file of instances with one dog, a polygon on the last image, and return it."""
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 3, "width": 5, **image} for n in numbers]
    dog = {"id": 1, "image_id": numbers[-1], "category_id": 2, "bbox": [1, 0, 3, 3]}
    content = {"images": images, "annotations": [{**dog, "segmentation": [[1, 0, 4, 0, 4, 3]]}], "categories": ROWS[:2]}
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path
