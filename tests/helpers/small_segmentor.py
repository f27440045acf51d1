"""Recipe of a small segmentor of folders of images and label maps."""

from typing import Any

CLASSES = ["grass", "path", "water"]
RECIPE: dict[str, Any] = {
    "base": "fcn_resnest101_d8_cityscapes.mmseg",
    "name": "small",
    "model": {"backbone": {"depth": 14, "planes": 16}, "head_channels": 8, "auxiliary_channels": 8},
    "input": {"short_side": 32, "long_side": 48},
    "data": {"format": "folders", "classes": CLASSES, "val_images": "images", "val_annotations": "maps",
             "train_images": "images", "train_annotations": "maps"},
    "train": {"crop_size": [32, 32], "batch_size": 2, "iterations": 2, "init_from": None, "workers": 0},
}  # fmt: skip
