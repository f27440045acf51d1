"""Published pose models: 8 from mmpose, SimpleBaseline on ResNeSt.

Source: mmpose 1.3 ``configs/body_2d_keypoint/topdown_heatmap/coco``. All depths have the narrow stem of 32, 32 and 64
channels.
"""

from typing import Any

_STATISTICS = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
_SMALL = {"height": 256, "width": 192, "sigma": 2.0}
_LARGE = {"height": 384, "width": 288, "sigma": 3.0}
_COCO_PERSON = {
    "classes": ("person",),
    "keypoints": "coco",
    "val_images": "val2017",
    "val_annotations": "annotations/person_keypoints_val2017.json",
    "val_detections": "auto",
    "train_images": "train2017",
    "train_annotations": "annotations/person_keypoints_train2017.json",
}


def _row(depth: int, size: dict[str, Any], batch_size: int) -> dict[str, Any]:
    return {
        "task": "pose",
        "data": _COCO_PERSON,
        "input": {**_STATISTICS, "height": size["height"], "width": size["width"], "padding": 1.25},
        "model": {
            "backbone": {"depth": depth, "stem_width": 32, "avd_in_dilated": False},
            "deconv_channels": (256, 256, 256),
            "sigma": size["sigma"],
        },
        "train": {
            "batch_size": batch_size,
            "epochs": 210,
            "optimizer": "adam",
            "lr": 5e-4,
            "weight_decay": 0,
            "schedule": {"type": "multi_step", "milestones": (170, 200)},
            "warmup_iterations": 500,
            "evaluate_every": 10,
            "save_every": 10,
            "init_from": f"resnest{depth}_imagenet.official",
        },
    }


ROWS: dict[str, dict[str, Any]] = {
    "simplebaseline_resnest50_256x192_coco.mmpose": _row(50, _SMALL, 512),
    "simplebaseline_resnest50_384x288_coco.mmpose": _row(50, _LARGE, 512),
    "simplebaseline_resnest101_256x192_coco.mmpose": _row(101, _SMALL, 512),
    "simplebaseline_resnest101_384x288_coco.mmpose": _row(101, _LARGE, 256),
    "simplebaseline_resnest200_256x192_coco.mmpose": _row(200, _SMALL, 512),
    "simplebaseline_resnest200_384x288_coco.mmpose": _row(200, _LARGE, 128),
    "simplebaseline_resnest269_256x192_coco.mmpose": _row(269, _SMALL, 256),
    "simplebaseline_resnest269_384x288_coco.mmpose": _row(269, _LARGE, 128),
}
"""Name of a model -> fields of its recipe before validation."""
