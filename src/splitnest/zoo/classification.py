"""Published ImageNet classifiers: 11 from the official repository, 8 from timm.

In a name like ``4s2x40d`` the radix is 4, the cardinality 2 and the base width 40.

Sources of the models: zhanghang1989/ResNeSt ``resnest/torch/models/resnest.py`` and ``ablation.py``, crop sizes in its
``README.md``; timm 1.0 ``timm/models/resnest.py``.

Sources of the training settings: ``scripts/gluon/README.md`` and ``train.py`` of the official repository, for the
networks in ``resnest/gluon`` whose weights were converted to PyTorch; section 4.2 of the paper for batch sizes and
crops; timm's model index for epochs and batch sizes. The learning rate is 0.1 per 256 images.
"""

from typing import Any

_STATISTICS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "pixel_range": 1}
_OFFICIAL = {**_STATISTICS, "crop": "official"}
_TIMM = {**_STATISTICS, "crop": "timm"}
_TIMM_BICUBIC = {**_TIMM, "interpolation": "bicubic"}
_IMAGENET = {"classes": "imagenet", "format": "folders", "val_images": "val", "train_images": "train"}

_TRAIN = {
    "epochs": 270,
    "optimizer": {"type": "sgd", "nesterov": True},
    "decay_norms": False,
    "decay_biases": False,
    "schedule": "cosine",
    "warmup_epochs": 5,
    "warmup_factor": 0,
    "policy": "auto_augment",
    "mixup": 0.2,
    "label_smoothing": 0.1,
    "drop_block": 0.1,
    "zero_init_last": True,
    "evaluate_every": 5,
    "save_every": 1,
}
_TRAIN_8192 = {**_TRAIN, "batch_size": 8192, "lr": 3.2}
_TRAIN_4096 = {**_TRAIN, "batch_size": 4096, "lr": 1.6}
_TRAIN_2048 = {**_TRAIN, "batch_size": 2048, "lr": 0.8, "dropout": 0.2}  # depth 200 and more
_TRAIN_S200 = {**_TRAIN_2048, "crop_size": 256}
_TRAIN_S269 = {**_TRAIN_2048, "crop_size": 320, "crop_area": (0.1, 1.0)}

_S50 = {"depth": 50}
_S101 = {"depth": 101, "stem_width": 64}
_S200 = {"depth": 200, "stem_width": 64}
_S269 = {"depth": 269, "stem_width": 64}
_FAST = {"depth": 50, "avd_first": True}
_1S1X64D = {**_FAST, "radix": 1}
_2S1X64D = {**_FAST, "radix": 2}
_4S1X64D = {**_FAST, "radix": 4}
_1S2X40D = {**_FAST, "radix": 1, "cardinality": 2, "base_width": 40}
_2S2X40D = {**_FAST, "radix": 2, "cardinality": 2, "base_width": 40}
_4S2X40D = {**_FAST, "radix": 4, "cardinality": 2, "base_width": 40}
_1S4X24D = {**_FAST, "radix": 1, "cardinality": 4, "base_width": 24}


def _row(
    crop: dict[str, Any], size: int, backbone: dict[str, Any], train: dict[str, Any] = _TRAIN_8192
) -> dict[str, Any]:
    return {
        "task": "classification",
        "data": _IMAGENET,
        "input": {**crop, "size": size},
        "model": {"backbone": backbone},
        "train": train,
    }


ROWS: dict[str, dict[str, Any]] = {
    "resnest50_imagenet.official": _row(_OFFICIAL, 224, _S50),
    "resnest101_imagenet.official": _row(_OFFICIAL, 256, _S101, _TRAIN_4096),
    "resnest200_imagenet.official": _row(_OFFICIAL, 320, _S200, _TRAIN_S200),
    "resnest269_imagenet.official": _row(_OFFICIAL, 416, _S269, _TRAIN_S269),
    "resnest50_fast_1s1x64d_imagenet.official": _row(_OFFICIAL, 224, _1S1X64D),
    "resnest50_fast_2s1x64d_imagenet.official": _row(_OFFICIAL, 224, _2S1X64D),
    "resnest50_fast_4s1x64d_imagenet.official": _row(_OFFICIAL, 224, _4S1X64D),
    "resnest50_fast_1s2x40d_imagenet.official": _row(_OFFICIAL, 224, _1S2X40D),
    "resnest50_fast_2s2x40d_imagenet.official": _row(_OFFICIAL, 224, _2S2X40D),
    "resnest50_fast_4s2x40d_imagenet.official": _row(_OFFICIAL, 224, _4S2X40D),
    "resnest50_fast_1s4x24d_imagenet.official": _row(_OFFICIAL, 224, _1S4X24D),
    "resnest14d_imagenet.timm": _row(_TIMM, 224, {"depth": 14}),
    "resnest26d_imagenet.timm": _row(_TIMM, 224, {"depth": 26}),
    "resnest50d_imagenet.timm": _row(_TIMM, 224, _S50),
    "resnest50d_1s4x24d_imagenet.timm": _row(_TIMM_BICUBIC, 224, _1S4X24D),
    "resnest50d_4s2x40d_imagenet.timm": _row(_TIMM_BICUBIC, 224, _4S2X40D),
    "resnest101e_imagenet.timm": _row(_TIMM, 256, _S101, _TRAIN_4096),
    "resnest200e_imagenet.timm": _row({**_TIMM_BICUBIC, "crop_fraction": 0.909}, 320, _S200, _TRAIN_S200),
    "resnest269e_imagenet.timm": _row({**_TIMM_BICUBIC, "crop_fraction": 0.928}, 416, _S269, _TRAIN_S269),
}
"""Name of a model -> fields of its recipe before validation."""
