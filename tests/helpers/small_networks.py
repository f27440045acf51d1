"""Small networks of published rows, and their state dicts with the keys of other code bases."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from splitnest import zoo
from splitnest.models.build import build_model
from splitnest.recipe import Recipe, overrides
from splitnest.weights.key_maps.translate import KEY_MAPS, KeyMap

BACKBONE = {"model.backbone.depth": 14, "model.backbone.planes": 8, "model.backbone.stem_width": 4}
HEADS = {"model.fpn_channels": 8, "model.box_conv_channels": 8, "model.box_fc_channels": 8, "model.mask_channels": 8}
OFFICIAL, MMDET, DETECTRON2, TORCHVISION = (
    next(key_map for key_map in KEY_MAPS if key_map.name == name)
    for name in ("official", "mmdet", "detectron2", "torchvision")
)
PANOPTIC = [key_map for key_map in KEY_MAPS if key_map.name == "detectron2"][-1]
ROWS = {
    "official": ("resnest50_imagenet.official", OFFICIAL),
    "mmdet": ("mask_rcnn_resnest50_fpn_1x_coco.mmdet", MMDET),
    "detectron2": ("mask_rcnn_resnest50_fpn_1x_coco.detectron2", DETECTRON2),
    "dcn": ("faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2", DETECTRON2),
    "panoptic": ("panoptic_fpn_resnest200_3x_coco.detectron2", PANOPTIC),
}


def small_recipe(row: str, classes: tuple[str, ...] = ("cat", "dog"), **changes: Any) -> Recipe:
    recipe = zoo.get(ROWS[row][0])
    heads = {} if row == "official" else HEADS
    return overrides.apply(recipe, {**BACKBONE, **heads, "data.classes": list(classes), **changes})


def build_network(recipe: Recipe, seed: int = 0) -> nn.Module:
    """Return a small network without any default value, counters included."""
    torch.manual_seed(seed)
    module = build_model(recipe)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
        else:
            tensor.fill_(seed + 1)
    return module


def inverted(source: str, target: str) -> tuple[str, str]:
    """Return the rule from our name to that of another code base: ``{stage+1}`` moves to the other side, as -1."""
    for field, sign, number in re.findall(r"\{(\w+)([+-])(\d+)\}", target):
        target = target.replace(f"{{{field}{sign}{number}}}", f"{{{field}}}")
        source = source.replace(f"{{{field}}}", f"{{{field}{'-' if sign == '+' else '+'}{number}}}")
    return target, source


def foreign_state(state: Mapping[str, Tensor], layout: KeyMap) -> dict[str, Tensor]:
    """Return a state dict with the keys of another code base: its key map, read backwards."""
    backwards = KeyMap("", dict(inverted(*rule) for rule in reversed(layout.modules.items())), {})
    renamed = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        renamed[f"{backwards.module(module)}.{leaf}"] = tensor.clone()
    assert len(renamed) == len(state)
    return renamed


def has_state(one: nn.Module, other: Mapping[str, Tensor]) -> bool:
    state = one.state_dict()
    return state.keys() == other.keys() and all(torch.equal(tensor, other[key]) for key, tensor in state.items())


def copied_state(module: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in module.state_dict().items()}
