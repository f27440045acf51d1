"""Parameters and multiply-adds of a network, counted on the meta device without computing values."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitnest.device import on_meta
from splitnest.models.build import build_model
from splitnest.models.layers.deformable_conv import DeformableConv2d
from splitnest.recipe import Recipe


class Complexity(NamedTuple):
    """Cost of a network for one image.

    Attributes:
        parameters: Number of parameters.
        multiply_adds: Number of multiply-adds of convolutions and linear layers.
        size_hw: (height, width) of the input in pixels.
        num_regions, num_masks: Number of regions in the box heads and in the mask heads; 0 without such heads.
    """

    parameters: int
    multiply_adds: int
    size_hw: tuple[int, int]
    num_regions: int = 0
    num_masks: int = 0


def complexity(recipe: Recipe, size_hw: tuple[int, int] | None = None) -> Complexity:
    """Count the parameters and multiply-adds of a network for one image.

    Multiply-adds are those of convolutions and linear layers, which publications count as "FLOPs". A detector is
    counted with 1000 regions and 100 masks (published protocol), a segmentor without its auxiliary head.

    Args:
        recipe: Recipe of the network.
        size_hw: (height, width) of the input in pixels; None uses the nominal size of the recipe.
    """
    with on_meta():
        module = build_model(recipe).eval().to("meta")  # models of timm may have parts that are not
        size = size_hw or recipe.input.size_hw
        counter = _Counter(module)
        module.run_layers(torch.empty(1, 3, *size), module.num_regions, module.num_masks)
    parameters = sum(p.numel() for p in module.parameters())
    return Complexity(parameters, counter.total, size, module.num_regions, module.num_masks)


class _Counter:
    """Sum of the multiply-adds of all layers: output elements times the weights that contribute to each."""

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
