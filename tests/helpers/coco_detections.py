"""A small COCO annotation file, and detections of its images."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from splitnest.structures import Detections
from splitnest.structures.box_masks import BoxMasks
from splitnest.structures.categories import Categories, from_names

SIZE = (40, 50)
CLASSES = from_names(["cat", "person", "unicorn"])


def detections(
    boxes: Any = (),
    scores: Any = (),
    labels: Any = (),
    masks: np.ndarray | BoxMasks | None = None,
    *,
    image_size: tuple[int, int] = SIZE,
    categories: Categories = CLASSES,
) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
        masks,
        image_size=image_size,
        categories=categories,
    )


def square(x: float, y: float, side: float) -> dict[str, Any]:
    return {
        "bbox": [x, y, side, side],
        "area": side * side,
        "iscrowd": 0,
        "segmentation": [[x, y, x + side, y, x + side, y + side, x, y + side]],
    }


def write(folder: Path, **changes: Any) -> Path:
    """Write a file of two images and three classes, one of which has no instances."""
    content = {
        "images": [{"id": id_, "file_name": f"{id_}.jpg", "height": 40, "width": 50} for id_ in (3, 8)],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 1, **square(5, 5, 20)},
            {"id": 2, "image_id": 3, "category_id": 4, **square(12, 3, 35)},
        ],
        "categories": [{"id": 4, "name": "cat"}, {"id": 1, "name": "person"}, {"id": 9, "name": "unicorn"}],
        **changes,
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return path
