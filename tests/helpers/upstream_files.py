"""Checkpoint files as the training tools of the four code bases write them, of networks with three own classes.

Keys and shapes are those of recorded checkpoints. Values overlap in memory, so that the files are small. The
biases of the last layers make the second class, ``fig``, the result of every image.
"""

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from helpers import oracle, upstream_configs
from helpers.training_tools import contents, tools
from helpers.upstream_configs import CLASSES
from helpers.upstream_rows import python_text

COLORS = [[200, 0, 0], [0, 200, 0], [0, 0, 200]]
KEYPOINTS = ("tip", "left fin", "right fin")
LABEL = 1
"""Label that the networks predict everywhere."""

_BIAS = 6.0
_CLASS_LAYERS: Mapping[str, tuple[int, int]] = {
    "roi_head.bbox_head.fc_cls": (1, 1),
    "roi_head.bbox_head.fc_reg": (4, 0),
    "roi_head.mask_head.conv_logits": (1, 0),
    "roi_heads.box_predictor.cls_score": (1, 1),
    "roi_heads.box_predictor.bbox_pred": (4, 0),
    "roi_heads.mask_head.predictor": (1, 0),
    "decode_head.conv_seg": (1, 0),
    "auxiliary_head.conv_seg": (1, 0),
    "head.final_layer": (1, 0),
}
"""Last layers -> outputs of each class, and further ones."""


_INPUTS: Mapping[str, int] = {
    **{f"neck.lateral_convs.{level}.conv": 1 for level in range(4)},
    "head.deconv_layers.0": 0,  # transposed
}
"""Layers that take features of the backbone -> dimension of their input channels."""


def state_dict(recording: str) -> OrderedDict[str, Tensor]:
    """Return a state dict with the keys of a recording, for three classes; those of OpenMMLab with a ResNet-18."""
    shapes = oracle.recording(recording)["state_dict"]
    if not recording.endswith("detectron2"):
        shapes = {key: _of_basic_blocks(key, shape) for key, shape in shapes.items() if not key.startswith("backbone.")}
        network = oracle.recording(FCN)["state_dict"].items()
        shapes |= {key: shape for key, shape in network if key.startswith("backbone.")}
    return OrderedDict((key, _filled(key, shape)) for key, shape in shapes.items())


def _of_basic_blocks(key: str, shape: Sequence[int]) -> list[int]:
    """Return the shape of a tensor with a ResNet-18 in place of a ResNet-50."""
    size, layer = list(shape), key.removesuffix(".weight")
    if layer in _INPUTS:
        size[_INPUTS[layer]] //= 4
    return size


def _filled(key: str, shape: Sequence[int]) -> Tensor:
    """Return a tensor; the biases of the last layer prefer one class."""
    size, (layer, _, name) = list(shape), key.rpartition(".")
    factor, more = _CLASS_LAYERS.get(layer, (0, 0))
    if factor:
        size[0] = factor * len(CLASSES) + more
    if factor == 1 and name == "bias":
        return torch.eye(size[0])[LABEL] * _BIAS
    if len(size) > 1:
        scale = (0.2 if layer in _CLASS_LAYERS else 0.5) / math.sqrt(math.prod(size[1:]))
        values = torch.randn(sum(size), generator=torch.Generator().manual_seed(len(key)))
        return (values * scale).as_strided(size, (1,) * len(size))
    is_norm = name in ("running_var", "weight")
    return torch.full(size, float(is_norm), dtype=torch.int64 if name == "num_batches_tracked" else torch.float32)


def _optimizer(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the state of SGD with momentum, with a learning rate that a schedule computed with numpy."""
    buffers = {index: {"momentum_buffer": tensor} for index, tensor in enumerate(state.values())}
    return {"state": buffers, "param_groups": [{"lr": np.float64(0.02), "momentum": 0.9, "params": [*buffers]}]}


def _mmcv(config: dict[str, Any], state: OrderedDict[str, Tensor], **meta: Any) -> dict[str, Any]:
    """Return the content of a file that mmcv's runner wrote, until 2023."""
    meta |= {"epoch": 12, "iter": np.int64(7330), "time": "Tue Oct  4 07:08:15 2022", "mmcv_version": "1.6.0"}
    meta |= {"env_info": "sys.platform: linux", "seed": 0, "exp_name": "mine.py", "config": python_text(config)}
    meta |= {"hook_msgs": {"best_score": np.float64(0.38), "best_ckpt": "best.pth", "last_ckpt": "epoch_11.pth"}}
    return {"meta": meta, "state_dict": state, "optimizer": _optimizer(state)}


def _mmengine(config: dict[str, Any], state: OrderedDict[str, Tensor], **dataset: Any) -> dict[str, Any]:
    """Return the content of a file that mmengine's runner writes."""
    meta = {"epoch": 12, "iter": 7330, "cfg": python_text(config), "seed": np.int64(3), "experiment_name": "mine"}
    meta |= {"mmengine_version": "0.10.4", "time": "20240102_030405", "dataset_meta": dataset}
    schedulers = [{"start_factor": 0.001, "last_step": 7330, "_last_value": [np.float64(0.02)]}]
    more = {"optimizer": _optimizer(state), "param_schedulers": schedulers, "message_hub": contents()["message hub"]}
    return {"meta": meta, "state_dict": state, **more}


def _detector(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of mmdetection with a ResNet-18, for small images and few proposals."""
    changed = json.loads(json.dumps(config).replace("[1333, 800]", "[96, 64]"))
    changed["model"]["backbone"]["depth"] = 18
    changed["model"]["neck"]["in_channels"] = [64, 128, 256, 512]
    changed["model"]["test_cfg"]["rpn"] |= {"nms_pre": 50, "max_per_img": 20}
    return changed


def _segmentor(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of mmsegmentation with the recorded FCN, for small images."""
    changed = json.loads(json.dumps(config).replace("[256, 128]", "[96, 64]"))
    model = json.loads(json.dumps(oracle.recording(FCN)["upstream_model"]))
    preprocessor = changed["model"].get("data_preprocessor")
    changed["model"] = model | ({"data_preprocessor": preprocessor} if preprocessor else {})
    changed["model"] |= {"test_cfg": {"mode": "whole"}}
    for head in ("decode_head", "auxiliary_head"):
        model[head]["num_classes"] = len(CLASSES)
    return changed


def _estimator(config: dict[str, Any], head: str) -> dict[str, Any]:
    """Return a configuration of mmpose with a ResNet-18."""
    config["model"]["backbone"]["depth"] = 18
    config["model"][head]["in_channels"] = 512
    return config


def _pose0_config() -> dict[str, Any]:
    swaps = ("", KEYPOINTS[2], KEYPOINTS[1])
    rows = {
        index: {"name": name, "id": index, "color": [255, 128, 0], "type": "upper", "swap": swap}
        for index, (name, swap) in enumerate(zip(KEYPOINTS, swaps, strict=True))
    }
    config = _estimator(upstream_configs.mmpose0(len(KEYPOINTS)), "keypoint_head")
    config["dataset_info"] = {
        **{"dataset_name": "fish", "paper_info": {}, "keypoint_info": rows, "sigmas": [0.1] * 3},
        "skeleton_info": {0: {"link": KEYPOINTS[:2], "id": 0, "color": [0, 255, 0]}},
        "joint_weights": [1.0] * 3,
    }
    return config


def _mmdet2() -> dict[str, Any]:
    config = _detector(upstream_configs.mmdet2())
    return _mmcv(config, state_dict(MASK_RCNN), mmdet_version="2.25.1", CLASSES=CLASSES)


def _mmdet3() -> dict[str, Any]:
    palette = [tuple(color) for color in COLORS]
    return _mmengine(_detector(upstream_configs.mmdet3()), state_dict(MASK_RCNN), classes=CLASSES, palette=palette)


def _mmseg0() -> dict[str, Any]:
    config = _segmentor(upstream_configs.mmseg0())
    return _mmcv(config, state_dict(FCN), mmseg_version="0.27.0", CLASSES=CLASSES, PALETTE=COLORS)


def _mmseg1() -> dict[str, Any]:
    config = _segmentor(upstream_configs.mmseg1())
    dataset = {"classes": CLASSES, "palette": COLORS, "label_map": None, "reduce_zero_label": False}
    return _mmengine(config, state_dict(FCN), **dataset)


def _mmpose0() -> dict[str, Any]:
    state = state_dict(SIMPLE_BASELINE)
    renamed = (
        (key.replace("head.", "keypoint_head.") if key.startswith("head.") else key, state[key]) for key in state
    )
    return _mmcv(_pose0_config(), OrderedDict(renamed), mmpose_version="0.28.0")


def _mmpose1() -> dict[str, Any]:
    dataset = {
        **{"dataset_name": "fish", "num_keypoints": 3, "keypoint_id2name": dict(enumerate(KEYPOINTS))},
        **{"keypoint_name2id": {name: index for index, name in enumerate(KEYPOINTS)}, "flip_indices": [0, 2, 1]},
        **{
            "skeleton_links": [(0, 1)],
            "upper_body_ids": [0, 1, 2],
            "lower_body_ids": [],
            "CLASSES": [{"id": 1, "name": "fish"}],
        },
        **{"dataset_keypoint_weights": np.ones(3, np.float32), "sigmas": np.full(3, 0.1, np.float32)},
        "keypoint_colors": np.zeros((3, 3), np.uint8),
    }
    config = _estimator(upstream_configs.mmpose1(len(KEYPOINTS)), "head")
    return _mmengine(config, state_dict(SIMPLE_BASELINE), **dataset)


def _detectron2() -> dict[str, Any]:
    state = state_dict(DETECTRON2)
    scheduler = {"max_iter": 90_000, "last_epoch": 90_000, "_last_lr": [np.float64(0.0002)], "milestones": [60_000]}
    return {"model": state, "optimizer": _optimizer(state), "scheduler": scheduler, "iteration": 89_999}


MASK_RCNN = "mask-rcnn_r50-caffe_fpn_1x_coco.mmdet"
FCN = "fcn_r18b-d8_4xb2-80k_cityscapes-769x769.mmseg"
SIMPLE_BASELINE = "td-hm_res50_8xb64-210e_coco-256x192.mmpose"
DETECTRON2 = "mask_rcnn_R_50_FPN_3x.detectron2"

CONTENTS: Mapping[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "mmdet 2": ("epoch_12.pth", _mmdet2),
    "mmdet 3": ("epoch_12.pth", _mmdet3),
    "mmseg 0": ("iter_40000.pth", _mmseg0),
    "mmseg 1": ("iter_40000.pth", _mmseg1),
    "mmpose 0": ("epoch_210.pth", _mmpose0),
    "mmpose 1": ("epoch_210.pth", _mmpose1),
    "detectron2": ("model_final.pth", _detectron2),
}
"""Code base and generation -> name of the file, and function that returns its content."""


def write(kind: str, folder: Path) -> Path:
    """Write a checkpoint, for detectron2 with ``config.yaml`` beside it, and return its path."""
    name, make = CONTENTS[kind]
    with tools():
        torch.save(make(), folder / name)
    if kind == "detectron2":
        config = upstream_configs.detectron2()
        config["INPUT"] |= {"MIN_SIZE_TEST": 64, "MAX_SIZE_TEST": 96}
        config["MODEL"]["RPN"] |= {"PRE_NMS_TOPK_TEST": 50, "POST_NMS_TOPK_TEST": 20}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / name
