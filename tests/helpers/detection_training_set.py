"""A small training set of a detector."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from splitnest import zoo
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.training_set import DetectionTrainingSet
from splitnest.recipe import DetectionRecipe, DetectionTraining, overrides


def training_set(folder: Path, num_images: int = 7, **train: Any) -> DetectionTrainingSet:
    """Write images of different sizes with one box each, and return a training set of them."""
    images = [{"id": n, "file_name": f"{n}.png", "height": 40, "width": 30 + 5 * n} for n in range(num_images)]
    for image in images:
        Image.new("RGB", (image["width"], image["height"]), (10 * image["id"], 0, 0)).save(folder / image["file_name"])
    rows = [{"id": n, "image_id": n, "category_id": 1, "bbox": [5, 5, 20, 20]} for n in range(num_images)]
    path = folder / "train.json"
    content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cat"}]}
    path.write_text(json.dumps(content))
    defaults: dict[str, Any] = {"epochs": 1, "lr": 0.1, "batch_size": 2, "short_sides": (20, 30), "workers": 0,
                                "color_jitter": 0.3}  # fmt: skip
    recipe = overrides.apply(zoo.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet"), {"data.classes": ["cat"]})
    assert isinstance(recipe, DetectionRecipe)
    training = DetectionTraining(**{**defaults, **train})
    return DetectionTrainingSet(DetectionDataset.from_coco(folder, path), recipe.model_copy(update={"train": training}))
