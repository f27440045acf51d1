"""The 29 published detectors: 8 of mmdetection, 21 of the official detectron2 wrapper, one of them panoptic.

Sources: mmdetection 3.3 ``configs/resnest``; zhanghang1989/ResNeSt ``d2/configs``, with the stride of the plain ResNet
rows where the fork that trained them had it (chongruo/detectron2-ResNeSt).
"""

from typing import Any

_COCO = {
    "classes": "coco",
    "val_images": "val2017",
    "val_annotations": "annotations/instances_val2017.json",
    "train_images": "train2017",
    "train_annotations": "annotations/instances_train2017.json",
}
_COCO_PANOPTIC = {
    **_COCO,
    "stuff": "coco_stuff",
    "val_annotations": "annotations/panoptic_val2017.json",
    "train_annotations": "annotations/panoptic_train2017.json",
    "val_instances": "annotations/instances_val2017.json",
    "train_instances": "annotations/instances_train2017.json",
}

_RESNEST_RGB = {"mean": (123.68, 116.779, 103.939), "std": (58.393, 57.12, 57.375), "channels": "RGB"}
_MSRA_BGR = {"mean": (103.53, 116.28, 123.675), "std": (1.0, 1.0, 1.0), "channels": "BGR"}

_TRAINED = {"norm": "sync_bn", "frozen_stages": 2, "avd_in_dilated": False}
_S50 = {**_TRAINED, "depth": 50}
_S101 = {**_TRAINED, "depth": 101, "stem_width": 64}
_S200 = {**_TRAINED, "depth": 200, "stem_width": 64}
_PLAIN = {**_TRAINED, "radix": 0, "stem": "7x7", "avg_down": False, "avd": False, "stride_in_1x1": True}
_R50 = {**_PLAIN, "depth": 50}
_R101 = {**_PLAIN, "depth": 101}
_DCN = {"dcn_stages": (3, 4, 5)}
_S50_DCN = {**_S50, **_DCN}
_S200_DCN = {**_S200, **_DCN}

_ANY_SIDE = {"short_sides": (640, 800), "short_side_sampling": "range"}
_SIX_SIDES = {"short_sides": (640, 672, 704, 736, 768, 800), "short_side_sampling": "choice"}
_MMDET_1X = {
    "unit": "epoch",
    "length": 12,
    "milestones": (8, 11),
    "learning_rate": 0.02,
    "warmup_steps": 500,
    "evaluate_every": 1,
    "save_every": 1,
    "min_image_side": 32,
    "min_box_side": 1,
}
_D2_1X = {
    "unit": "iteration",
    "length": 90_000,
    "milestones": (60_000, 80_000),
    "learning_rate": 0.02,
    "decay_norms": False,
    "warmup_steps": 1000,
    "precise_bn_steps": 200,
    "save_every": 5000,
}
_D2_3X = {**_D2_1X, "length": 270_000, "milestones": (240_000, 255_000), "long_side": 1440}
_TRICKS = {**_D2_3X, "short_sides": (640, 864), "short_side_sampling": "range", "crop": 0.9}
_PANOPTIC_3X = {**_D2_3X, "short_sides": (400, 1000), "short_side_sampling": "range"}

_FASTER: dict[str, Any] = {}
_MASK = {"mask_convs": 4, "mask_norm": "sync_bn"}
_MASK_MMDET = {**_MASK, "roi_low_quality": True}
_CASCADE = {"cascade": True, "train_proposals": 2000}
_CASCADE_MMDET = {**_CASCADE, "rpn_ignores_crossing": True, "rpn_box_beta": 1 / 9, "box_beta": 1.0}
_CASCADE_MASK = {**_CASCADE, **_MASK}
_CASCADE_MASK_MMDET = {**_CASCADE_MMDET, **_MASK}
_CASCADE_MASK8 = {**_CASCADE_MASK, "mask_convs": 8}
_PANOPTIC = {**_CASCADE, "mask_convs": 4, "panoptic": {"norm": "sync_bn"}}

_MMDET = {
    "train": _MMDET_1X,
    "input": {**_RESNEST_RGB, "resize": "opencv"},
    "model": {"conventions": "mmdet", "fpn_norm": None, "box_norm": "sync_bn"},
}
_D2 = {
    "train": _D2_1X,
    "input": {**_RESNEST_RGB, "resize": "pillow"},
    "model": {"conventions": "detectron2", "fpn_norm": "sync_bn", "box_norm": "sync_bn"},
}
_D2_MSRA = {**_D2, "input": {**_MSRA_BGR, "resize": "pillow"}}


_MSRA = {
    depth: f"https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA/R-{depth}.pkl" for depth in (50, 101)
}
"""Weights that the plain ResNets were trained from (``MODEL.WEIGHTS``; detectron2 ``model_zoo`` and ``catalog.py``)."""


def _row(
    task: str,
    origin: dict[str, Any],
    backbone: dict[str, Any],
    heads: dict[str, Any],
    train: dict[str, Any] | None = None,
) -> dict[str, Any]:
    sides = _ANY_SIDE if task == "detection" else _SIX_SIDES
    start = f"resnest{backbone['depth']}_imagenet.official" if backbone.get("radix", 2) else _MSRA[backbone["depth"]]
    return {
        "task": task,
        "data": _COCO_PANOPTIC if task == "panoptic" else _COCO,
        "input": origin["input"],
        "model": {**origin["model"], **heads, "backbone": backbone},
        "train": {**origin["train"], **sides, **(train or {}), "start": start},
    }


ROWS: dict[str, dict[str, Any]] = {
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet": _row("detection", _MMDET, _S50, _FASTER),
    "faster_rcnn_resnest101_fpn_1x_coco.mmdet": _row("detection", _MMDET, _S101, _FASTER),
    "cascade_rcnn_resnest50_fpn_1x_coco.mmdet": _row("detection", _MMDET, _S50, _CASCADE_MMDET),
    "cascade_rcnn_resnest101_fpn_1x_coco.mmdet": _row("detection", _MMDET, _S101, _CASCADE_MMDET),
    "faster_rcnn_resnet50_fpn_1x_coco.detectron2": _row("detection", _D2_MSRA, _R50, _FASTER),
    "faster_rcnn_resnet101_fpn_1x_coco.detectron2": _row("detection", _D2_MSRA, _R101, _FASTER),
    "faster_rcnn_resnest50_fpn_1x_coco.detectron2": _row("detection", _D2, _S50, _FASTER),
    "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2": _row("detection", _D2, _S50_DCN, _FASTER),
    "faster_rcnn_resnest101_fpn_1x_coco.detectron2": _row("detection", _D2, _S101, _FASTER),
    "cascade_rcnn_resnet50_fpn_1x_coco.detectron2": _row("detection", _D2_MSRA, _R50, _CASCADE),
    "cascade_rcnn_resnet101_fpn_1x_coco.detectron2": _row("detection", _D2_MSRA, _R101, _CASCADE),
    "cascade_rcnn_resnest50_fpn_1x_coco.detectron2": _row("detection", _D2, _S50, _CASCADE),
    "cascade_rcnn_resnest101_fpn_1x_coco.detectron2": _row("detection", _D2, _S101, _CASCADE),
    "cascade_rcnn_resnest200_fpn_1x_coco.detectron2": _row("detection", _D2, _S200, _CASCADE),
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet": _row("instance", _MMDET, _S50, _MASK_MMDET),
    "mask_rcnn_resnest101_fpn_1x_coco.mmdet": _row("instance", _MMDET, _S101, _MASK_MMDET),
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet": _row("instance", _MMDET, _S50, _CASCADE_MASK_MMDET),
    "cascade_mask_rcnn_resnest101_fpn_1x_coco.mmdet": _row("instance", _MMDET, _S101, _CASCADE_MASK_MMDET),
    "mask_rcnn_resnet50_fpn_1x_coco.detectron2": _row("instance", _D2_MSRA, _R50, _MASK),
    "mask_rcnn_resnet101_fpn_1x_coco.detectron2": _row("instance", _D2_MSRA, _R101, _MASK),
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2": _row("instance", _D2, _S50, _MASK),
    "mask_rcnn_resnest101_fpn_1x_coco.detectron2": _row("instance", _D2, _S101, _MASK),
    "cascade_mask_rcnn_resnet50_fpn_1x_coco.detectron2": _row("instance", _D2_MSRA, _R50, _CASCADE_MASK),
    "cascade_mask_rcnn_resnet101_fpn_1x_coco.detectron2": _row("instance", _D2_MSRA, _R101, _CASCADE_MASK),
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2": _row("instance", _D2, _S50, _CASCADE_MASK),
    "cascade_mask_rcnn_resnest101_fpn_1x_coco.detectron2": _row("instance", _D2, _S101, _CASCADE_MASK),
    "cascade_mask_rcnn_resnest200_fpn_3x_coco.detectron2": _row("instance", _D2, _S200, _CASCADE_MASK8, _TRICKS),
    "cascade_mask_rcnn_resnest200_dcn_fpn_3x_coco.detectron2": _row(
        "instance", _D2, _S200_DCN, _CASCADE_MASK8, _TRICKS
    ),
    "panoptic_fpn_resnest200_3x_coco.detectron2": _row("panoptic", _D2, _S200, _PANOPTIC, _PANOPTIC_3X),
}
"""Name -> what the recipe is made of, not yet validated."""
