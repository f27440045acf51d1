"""State dicts of mmdetection 1 in the form of mmdetection 2: names of the second stage, and background last.

In mmdetection 1 class 0 is the background, with boxes and masks of its own that are never used.
"""

import re
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

_SECOND_STAGE = re.compile(r"(bbox_head|mask_head)\.(.+)")
_LAYER = re.compile(r"(?:\d+\.)?(fc_cls|fc_reg|conv_logits)\.(?:weight|bias)")

NOTE = (
    "is of mmdetection 1: its classes are moved, as the background comes first there. Sides of boxes were a pixel "
    "longer in its training, so scores and boxes differ a little from those of mmdetection 1"
)
"""What is told of such a file."""


def is_version_1(keys: Collection[str]) -> bool:
    """Return whether these are the keys of a two-stage detector of mmdetection 1, which has no ``roi_head``."""
    has_rpn = any(key.startswith("rpn_head.") for key in keys)
    return has_rpn and any(re.match(r"bbox_head\.(\d+\.)?fc_cls\.", key) for key in keys)


def upgraded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict with the names of mmdetection 2, and without what is of the background but its scores."""
    result = {}
    for key, tensor in state.items():
        match = _SECOND_STAGE.fullmatch(key)
        if match is not None:
            layer = _LAYER.fullmatch(match[2])
            key, tensor = f"roi_head.{key}", tensor if layer is None else _moved(layer[1], tensor)
        result[key] = tensor
    return result


def _moved(layer: str, tensor: Tensor) -> Tensor:
    """Return a weight or bias of a layer of classes with the background last, or without it."""
    if layer == "fc_cls":
        return torch.cat((tensor[1:], tensor[:1]))
    if layer == "fc_reg":
        return tensor[4:] if len(tensor) > 4 else tensor  # one box for all classes
    return tensor[1:] if len(tensor) > 1 else tensor
