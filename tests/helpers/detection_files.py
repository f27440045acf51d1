"""Small detection datasets in files, as people have them, and the recipe of a detector that trains on them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE_WH = (60, 40)
"""Width and height of every image."""

TRAIN = {
    "batch_size": 2, "iterations": 2, "schedule": "multi_step", "lr": 0.001, "warmup_iterations": 0,
    "evaluate_every": 0, "save_every": 1, "init_from": None, "short_sides": [64], "long_side": 96, "workers": 0,
}  # fmt: skip


def write_recipe(folder: Path, *, masks: bool = False, data: Mapping[str, Any], **train: Any) -> Path:
    """Write the recipe of a small Faster or Mask R-CNN that trains for two steps."""
    model: dict[str, Any] = {"fpn_channels": 16, "box_conv_channels": 16, "box_fc_channels": 32}
    model["backbone"] = {"depth": 14, "planes": 16, "frozen_stages": 0}
    if masks:
        model["mask_channels"] = 16
    recipe = {
        "base": f"{'mask' if masks else 'faster'}_rcnn_resnest50_fpn_1x_coco.mmdet",
        "name": "small",
        "model": model,
        "input": {"short_side": 64, "long_side": 96},
        "data": dict(data),
        "train": {**TRAIN, **train},
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))  # JSON is YAML
    return path


def write_image(path: Path, **options: Any) -> None:
    """Write an image of noise; a suffix that Pillow does not know is written as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(map(ord, path.name)))
    image = Image.fromarray(rng.integers(0, 256, (SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8))
    image.save(path, **({} if path.suffix == ".png" else {"format": "JPEG"}) | options)


def write_xml(path: Path, *names: str, box: Sequence[float] = (5, 5, 40, 30), inside: str = "", size: str = "") -> None:
    """Write a VOC annotation file with an object of each name; ``inside`` is added to the objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    objects = "\n".join(f"<object><name>{name}</name>{inside}<bndbox>{sides}</bndbox></object>" for name in names)
    size = size or f"<size><width>{SIZE_WH[0]}</width><height>{SIZE_WH[1]}</height></size>"
    path.write_text(f"<annotation>\n{size}\n{objects}\n</annotation>")


def write_yolo(root: Path, **labels: str | None) -> dict[str, Any]:
    """Write images and their text files in YOLO's layout, and return the data section; None is no text file."""
    (root / "labels").mkdir(parents=True)
    for name, text in labels.items():
        write_image(root / f"images/{name}.jpg")
        if text is not None:
            (root / f"labels/{name}.txt").write_text(text)
    return {"format": "yolo", "root": str(root), "classes": ["cat", "dog"], "train_images": "images"}
