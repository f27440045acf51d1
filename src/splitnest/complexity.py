"""Parameters and multiply-adds of a network, counted without running it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitnest.build import build_model
from splitnest.detection import box_head, mask_head
from splitnest.detection.panoptic import PanopticFPN
from splitnest.detection.rcnn import RCNN
from splitnest.device import on_meta
from splitnest.layers.conv import DeformableConv2d
from splitnest.recipe import DetectionRecipe, PoseRecipe, Recipe, SemanticRecipe

REGIONS = 1000
"""Proposals of an image (the published protocol)."""


class Complexity(NamedTuple):
    """Of one image of ``size_hw``; ``regions`` and ``masks`` are the regions that the heads of a detector see."""

    parameters: int
    multiply_adds: int
    size_hw: tuple[int, int]
    regions: int = 0
    masks: int = 0


def complexity(recipe: Recipe, size_hw: tuple[int, int] | None = None) -> Complexity:
    """Count the network of ``recipe`` at an input of ``size_hw`` (height, width), by default the published one.

    Multiply-adds are those of convolutions and linear layers, as publications count "FLOPs". A detector is counted at
    short side x long side rounded up to its divisor, 1000 regions and 100 masks (the published protocol); a segmentor
    at short side x long side, without its auxiliary head.
    """
    with on_meta():
        module = build_model(recipe).eval()
        parameters = sum(p.numel() for p in module.parameters())
        size = size_hw or _input_size(recipe)
        counter = _Counter(module)
        images = torch.empty(1, 3, *size)
        if not isinstance(module, RCNN):
            module(images)
            return Complexity(parameters, counter.total, size)
        levels = module.neck(module.backbone(images))
        module.rpn(levels)
        channels = levels["p2"].shape[1]
        regions, masks = REGIONS, module.post.max_detections if module.has_masks else 0
        for head in module.roi_heads.box_heads:
            head(torch.empty(regions, channels, box_head.POOLED, box_head.POOLED))
        for head in module.roi_heads.mask_heads:
            pooled = torch.empty(masks, channels, mask_head.POOLED, mask_head.POOLED)
            head(pooled, torch.zeros(masks, dtype=torch.long))
        if isinstance(module, PanopticFPN):
            module.semantic_head(levels)
        return Complexity(parameters, counter.total, size, regions, masks)


def _input_size(recipe: Recipe) -> tuple[int, int]:
    match recipe:
        case DetectionRecipe(input=facts):
            height, width = (-(-side // facts.divisor) * facts.divisor for side in (facts.short_side, facts.long_side))
            return height, width
        case SemanticRecipe(input=facts):
            return facts.short_side, facts.long_side
        case PoseRecipe(input=facts):
            return facts.height, facts.width
        case _:
            return recipe.input.size, recipe.input.size


class _Counter:
    """Adds up the multiply-adds of every layer that runs: output elements times the weights that each one reads."""

    def __init__(self, module: nn.Module) -> None:
        self.total = 0
        for layer in module.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear, DeformableConv2d)):
                layer.register_forward_hook(self._add)
            elif isinstance(layer, nn.ConvTranspose2d):
                layer.register_forward_hook(self._add_transposed)

    def _add(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer.weight, Tensor)
        self.total += output.numel() * layer.weight[0].numel()

    def _add_transposed(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer.weight, Tensor)
        self.total += inputs[0].numel() * layer.weight[0].numel()
