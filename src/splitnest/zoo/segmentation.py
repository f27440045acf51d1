"""Published semantic segmentation models: 8 from mmsegmentation, ResNeSt-101 with output stride 8.

Source: mmsegmentation 1.2 ``configs/resnest``.
"""

from typing import Any

_BACKBONE = {"depth": 101, "stem_width": 64, "output_stride": 8, "avd_in_dilated": False, "norm": "sync_bn"}
_STATISTICS = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}

_POLY = {
    "lr": 0.01,
    "weight_decay": 5e-4,
    "schedule": {"type": "poly", "min_lr": 1e-4},
    "init_from": "resnest101_imagenet.official",
}

_CITYSCAPES = {
    "train": {
        **_POLY,
        "iterations": 80_000,
        "batch_size": 8,
        "crop_size": (512, 1024),
        "evaluate_every": 8000,
        "save_every": 8000,
    },
    "input": {**_STATISTICS, "short_side": 1024, "long_side": 2048},
    "data": {
        "classes": "cityscapes",
        "format": "cityscapes",
        "val_images": "leftImg8bit/val",
        "val_annotations": "gtFine/val",
        "train_images": "leftImg8bit/train",
        "train_annotations": "gtFine/train",
    },
}
_ADE20K = {
    "train": {
        **_POLY,
        "iterations": 160_000,
        "batch_size": 16,
        "crop_size": (512, 512),
        "evaluate_every": 16_000,
        "save_every": 16_000,
    },
    "input": {**_STATISTICS, "short_side": 512, "long_side": 2048},
    "data": {
        "classes": "ade20k",
        "format": "ade20k",
        "val_images": "images/validation",
        "val_annotations": "annotations/validation",
        "train_images": "images/training",
        "train_annotations": "annotations/training",
    },
}


def _row(head: str, dataset: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "semantic",
        **dataset,
        "model": {
            "backbone": _BACKBONE,
            "head": head,
            "head_channels": 512,
            "auxiliary_channels": 256,
            "norm": "sync_bn",
        },
    }


ROWS: dict[str, dict[str, Any]] = {
    "fcn_resnest101_d8_cityscapes.mmseg": _row("fcn", _CITYSCAPES),
    "pspnet_resnest101_d8_cityscapes.mmseg": _row("psp", _CITYSCAPES),
    "deeplabv3_resnest101_d8_cityscapes.mmseg": _row("aspp", _CITYSCAPES),
    "deeplabv3plus_resnest101_d8_cityscapes.mmseg": _row("separable_aspp", _CITYSCAPES),
    "fcn_resnest101_d8_ade20k.mmseg": _row("fcn", _ADE20K),
    "pspnet_resnest101_d8_ade20k.mmseg": _row("psp", _ADE20K),
    "deeplabv3_resnest101_d8_ade20k.mmseg": _row("aspp", _ADE20K),
    "deeplabv3plus_resnest101_d8_ade20k.mmseg": _row("separable_aspp", _ADE20K),
}
"""Name of a model -> fields of its recipe before validation."""
