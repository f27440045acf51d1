"""Batch normalisation with a ReLU whose result is computed again in the backward pass instead of being kept.

A convolution keeps its input for its own gradient, and the normalisation before it keeps its input, too: of the maps of
a training nearly half are the result of a normalisation and a ReLU, a multiplication and an addition away from what is
kept anyway.

Shapes: N images, C channels, H x W cells.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class _NormReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        assert norm.momentum is not None
        statistics = norm.running_mean, norm.running_var
        found, mean, scale = torch.native_batch_norm(maps, weight, bias, *statistics, True, norm.momentum, norm.eps)
        ctx.save_for_backward(maps, weight, bias, mean, scale)
        ctx.eps, ctx.again = norm.eps, None
        return found.relu_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        maps, weight, _, mean, scale = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradients[0], _result(ctx), 0)
        ctx.again = None
        all_three = [True, True, True]
        backward = torch.ops.aten.native_batch_norm_backward
        return *backward(gradient, maps, weight, None, None, mean, scale, True, ctx.eps, all_three), None


def _result(node: Any) -> Tensor:
    """Compute what a ``_NormReLU`` gave ``[N, C, H, W]``: once for all layers that it went into."""
    if node.again is None:
        maps, weight, bias, mean, scale = (tensor.detach() for tensor in node.saved_tensors)
        scale = scale * weight
        shift = (bias - mean * scale)[:, None, None]
        node.again = torch.addcmul(shift, maps.to(scale.dtype), scale[:, None, None]).relu_().to(maps.dtype)
    return node.again


def norm_relu(norm: nn.Module, relu: nn.Module, maps: Tensor) -> Tensor:
    """Return ``relu(norm(maps))``, of which ``recomputing`` keeps nothing where that pays.

    It does for batch normalisation that trains on a processor; on GPUs cuDNN's own is quicker.
    """
    trains = type(norm) is nn.BatchNorm2d and norm.training and norm.momentum is not None and norm.weight.requires_grad
    if not (trains and torch.is_grad_enabled() and maps.device.type == "cpu"):
        return relu(norm(maps))
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    found = _NormReLU.apply(maps, norm.weight, norm.bias, norm)
    found.made_by = found.grad_fn, found._version
    return found


@contextmanager
def recomputing() -> Iterator[None]:
    """Keep none of the results of ``norm_relu`` for the gradients of the layers that see them inside of the context.

    Such a result must not be changed in place after a layer has seen it.
    """

    def pack(tensor: Tensor) -> Any:
        source = tensor if tensor._base is None else tensor._base
        node, version = getattr(source, "made_by", (None, None))
        if node is None or source._version != version:
            return tensor
        return node, tensor.size(), tensor.stride(), tensor.storage_offset()

    def unpack(kept: Any) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        node, *view = kept
        return _result(node).as_strided(*view)

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield
