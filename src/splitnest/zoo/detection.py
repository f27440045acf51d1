"""Published detectors: 8 from mmdetection, 21 from the official detectron2 wrapper, including a panoptic model.

Sources: mmdetection 3.3 ``configs/resnest``; zhanghang1989/ResNeSt ``d2/configs``. The plain ResNets have their stride
in the 1x1 convolution, as in the fork that trained them (chongruo/detectron2-ResNeSt).
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
    "epochs": 12,
    "schedule": {"type": "multi_step", "milestones": (8, 11)},
    "lr": 0.02,
    "warmup_iterations": 500,
    "evaluate_every": 1,
    "save_every": 1,
    "min_image_side": 32,
    "min_box_side": 1,
}
_D2_1X = {
    "iterations": 90_000,
    "schedule": {"type": "multi_step", "milestones": (60_000, 80_000)},
    "lr": 0.02,
    "decay_norms": False,
    "warmup_iterations": 1000,
    "precise_bn_batches": 200,
    "save_every": 5000,
}
_D2_3X = {
    **_D2_1X,
    "iterations": 270_000,
    "schedule": {"type": "multi_step", "milestones": (240_000, 255_000)},
    "long_side": 1440,
}
_TRICKS = {**_D2_3X, "short_sides": (640, 864), "short_side_sampling": "range", "crop": 0.9}
_PANOPTIC_3X = {**_D2_3X, "short_sides": (400, 1000), "short_side_sampling": "range"}

_FASTER: dict[str, Any] = {}
_MASK = {"mask_convs": 4, "mask_norm": "sync_bn"}
_MASK_MMDET = {**_MASK, "roi_match_low_quality": True}
_CASCADE = {"cascade": True, "rpn_post_nms_topk": 2000}
_CASCADE_MMDET = {**_CASCADE, "rpn_ignore_crossing": True, "rpn_box_beta": 1 / 9, "box_beta": 1.0}
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
"""Initial weights of the plain ResNets (``MODEL.WEIGHTS``; detectron2 ``model_zoo`` and ``catalog.py``)."""


def _row(
    task: str,
    origin: dict[str, Any],
    backbone: dict[str, Any],
    heads: dict[str, Any],
    train: dict[str, Any] | None = None,
) -> dict[str, Any]:
    sides = _ANY_SIDE if task == "detection" else _SIX_SIDES
    init_from = (
        f"resnest{backbone['depth']}_imagenet.official" if backbone.get("radix", 2) else _MSRA[backbone["depth"]]
    )
    return {
        "task": task,
        "data": _COCO_PANOPTIC if task == "panoptic" else _COCO,
        "input": origin["input"],
        "model": {**origin["model"], **heads, "backbone": backbone},
        "train": {**origin["train"], **sides, **(train or {}), "init_from": init_from},
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
"""Name of a model -> fields of its recipe before validation."""
