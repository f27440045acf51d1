"""Recipe of a tiny Mask R-CNN on synthetic scenes."""

from typing import Any

from splitnest.data.scenes import Scenes

BACKBONE = {"depth": 14, "planes": 8, "stem_width": 4, "base_width": 32, "norm": "bn", "frozen_stages": 0}
CLASSES = Scenes(1, (64, 64), 0).categories.names
CONTENT: dict[str, Any] = {
    "base": "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "name": "tiny",
    "data": {
        "format": "scenes",
        "classes": list(CLASSES),
        "train_count": 8,
        "val_count": 2,
        "height": 64,
        "width": 96,
    },
    "input": {"short_side": 64, "long_side": 96},
    "model": {
        "backbone": BACKBONE,
        "fpn_channels": 16,
        "box_norm": "gn",
        "mask_norm": "gn",
        "box_conv_channels": 16,
        "box_fc_channels": 32,
        "mask_channels": 16,
        "roi_samples": 16,
    },
    "train": {
        "batch_size": 4,
        "epochs": 2,
        "lr": 0.001,
        "warmup_iterations": 0,
        "evaluate_every": 0,
        "save_every": 0,
        "init_from": None,
        "short_sides": [64],
        "long_side": 96,
        "workers": 0,
    },
}
