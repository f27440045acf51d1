"""The 8 published human pose models, all of mmpose: SimpleBaseline heads on ResNeSt.

Source: mmpose 1.3 ``configs/body_2d_keypoint/topdown_heatmap/coco``. Its backbones keep the narrow stem (32, 32, 64
channels) at every depth.
"""

from typing import Any

_STATISTICS = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
_SMALL = {"height": 256, "width": 192, "sigma": 2.0}
_LARGE = {"height": 384, "width": 288, "sigma": 3.0}
_COCO_PERSON = {
    "classes": ("person",),
    "val_images": "val2017",
    "val_annotations": "annotations/person_keypoints_val2017.json",
    "train_images": "train2017",
    "train_annotations": "annotations/person_keypoints_train2017.json",
}


def _row(depth: int, size: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "pose",
        "data": _COCO_PERSON,
        "input": {**_STATISTICS, "height": size["height"], "width": size["width"], "padding": 1.25},
        "model": {
            "backbone": {"depth": depth, "stem_width": 32, "avd_in_dilated": False},
            "deconv_channels": (256, 256, 256),
            "sigma": size["sigma"],
        },
    }


ROWS: dict[str, dict[str, Any]] = {
    "simplebaseline_resnest50_256x192_coco.mmpose": _row(50, _SMALL),
    "simplebaseline_resnest50_384x288_coco.mmpose": _row(50, _LARGE),
    "simplebaseline_resnest101_256x192_coco.mmpose": _row(101, _SMALL),
    "simplebaseline_resnest101_384x288_coco.mmpose": _row(101, _LARGE),
    "simplebaseline_resnest200_256x192_coco.mmpose": _row(200, _SMALL),
    "simplebaseline_resnest200_384x288_coco.mmpose": _row(200, _LARGE),
    "simplebaseline_resnest269_256x192_coco.mmpose": _row(269, _SMALL),
    "simplebaseline_resnest269_384x288_coco.mmpose": _row(269, _LARGE),
}
"""Name -> what the recipe is made of, not yet validated."""
