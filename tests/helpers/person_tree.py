"""Small pose dataset in the layout of COCO, with three keypoints of dogs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splitnest import zoo
from splitnest.recipe import PoseRecipe, overrides

NAMES = ("nose", "left_hand", "right_hand")
KEYPOINTS = {"names": NAMES, "sigmas": [0.1, 0.05, 0.05]}
SMALL = {
    "name": "small",
    "model": {"backbone": {"depth": 14, "planes": 16, "stem_width": 16}, "deconv_channels": [8, 8, 8]},
    "input": {"height": 64, "width": 64},
    "data": {"keypoints": KEYPOINTS, "classes": ["dog"]},
}


def content() -> dict[str, Any]:
    """Return an annotation file of three images; two of them have three dogs and a crowd, one dog has no keypoints."""
    points = [10, 12, 2, 30, 14, 1, 0, 0, 0]
    return {
        "images": [{"id": id_, "file_name": f"{id_}.png", "height": 40, "width": 60} for id_ in (3, 8, 5)],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 1, "bbox": [5, 5, 60, 30], "area": 900, "iscrowd": 0,
             "keypoints": points, "num_keypoints": 2},
            {"id": 2, "image_id": 3, "category_id": 1, "bbox": [2, 2, 10, 10], "area": 100, "iscrowd": 0,
             "keypoints": [0] * 9, "num_keypoints": 0},
            {"id": 3, "image_id": 8, "category_id": 1, "bbox": [0, 0, 60, 40], "area": 2400, "iscrowd": 1,
             "keypoints": points, "num_keypoints": 2},
            {"id": 4, "image_id": 8, "category_id": 1, "bbox": [10, 8, 24, 20], "iscrowd": 0, "keypoints": points},
        ],
        "categories": [{"id": 1, "name": "dog", "keypoints": list(NAMES), "skeleton": [[1, 2], [1, 3]]}],
    }  # fmt: skip


def write(root: Path, file: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write the dataset, and return the section ``data`` of its recipe."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for id_ in (3, 8, 5):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(root / "images" / f"{id_}.png")
    (root / "people.json").write_text(json.dumps(content() if file is None else file))
    paths = {f"{split}_{key}": value for split in ("train", "val") for key, value in
             (("images", "images"), ("annotations", "people.json"))}  # fmt: skip
    return {"root": str(root), "classes": ["dog"], "keypoints": KEYPOINTS, "val_detections": None, **paths}


def recipe_of(data: dict[str, Any], **changes: Any) -> PoseRecipe:
    """Return the recipe of a small pose estimator with this section ``data``."""
    base = zoo.get("simplebaseline_resnest50_256x192_coco")
    assert isinstance(base, PoseRecipe)
    recipe = overrides.apply(overrides.apply(base, SMALL), {"data": data, **changes})
    assert isinstance(recipe, PoseRecipe)
    return recipe
