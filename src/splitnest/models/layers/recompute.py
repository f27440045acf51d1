"""Batch normalization and ReLU whose output is recomputed in the backward pass instead of being kept, on CPUs.

A convolution keeps its input for its own gradient, and so does the normalization before it: nearly half of the
activations of a training step are outputs of a normalization and a ReLU, one multiply-add away from kept tensors.
``torch.utils.checkpoint`` would run the normalization twice and update its running statistics twice.

Shapes: N images, C channels, H x W cells.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class _NormReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        assert norm.momentum is not None
        statistics = norm.running_mean, norm.running_var
        output, mean, scale = torch.native_batch_norm(x, weight, bias, *statistics, True, norm.momentum, norm.eps)
        ctx.save_for_backward(x, weight, bias, mean, scale)
        ctx.eps, ctx.recomputed = norm.eps, None
        return output.relu_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, _, mean, scale = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradients[0], _output(ctx), 0)
        ctx.recomputed = None
        all_three = [True, True, True]
        backward = torch.ops.aten.native_batch_norm_backward
        return *backward(gradient, x, weight, None, None, mean, scale, True, ctx.eps, all_three), None


def _output(node: Any) -> Tensor:
    """Return the output of a ``_NormReLU`` ``[N, C, H, W]``, recomputed once for all layers that use it."""
    if node.recomputed is None:
        x, weight, bias, mean, scale = (tensor.detach() for tensor in node.saved_tensors)
        scale = scale * weight
        shift = (bias - mean * scale)[:, None, None]
        node.recomputed = torch.addcmul(shift, x.to(scale.dtype), scale[:, None, None]).relu_().to(x.dtype)
    return node.recomputed


_keeps = ContextVar("keeps", default=False)
"""Whether ``norm_relu`` keeps its output all the same."""


@contextmanager
def keeping() -> Iterator[None]:
    """Keep the outputs of ``norm_relu`` inside the context, as in a stage that is recomputed as a whole."""
    token = _keeps.set(True)
    try:
        yield
    finally:
        _keeps.reset(token)


def norm_relu(norm: nn.Module, relu: nn.Module, x: Tensor) -> Tensor:
    """Return ``relu(norm(x))``; inside ``recomputing`` its output is not kept for gradients.

    Only batch normalization in training on CPUs is recomputed: cuDNN's own implementation is faster on GPUs.
    """
    trains = type(norm) is nn.BatchNorm2d and norm.training and norm.momentum is not None and norm.weight.requires_grad
    if not (trains and torch.is_grad_enabled() and x.device.type == "cpu") or _keeps.get():
        return relu(norm(x))
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    output = _NormReLU.apply(x, norm.weight, norm.bias, norm)
    output.made_by = output.grad_fn, output._version
    return output


class _Kept(NamedTuple):
    """Saved tensor, and its version when it was saved."""

    tensor: Tensor
    version: int


def recomputing(device: torch.device) -> AbstractContextManager[None]:
    """Return a context in which autograd recomputes the outputs of ``norm_relu`` instead of keeping them.

    Args:
        device: Device of the network; the context has no effect on other devices than CPUs.
    """
    return _recomputing() if device.type == "cpu" else nullcontext()


@contextmanager
def _recomputing() -> Iterator[None]:
    def pack(tensor: Tensor) -> Any:
        source = tensor if tensor._base is None else tensor._base
        node, version = getattr(source, "made_by", (None, None))
        if node is None or source._version != version:
            return _Kept(tensor, tensor._version)
        return node, tensor.size(), tensor.stride(), tensor.storage_offset()

    def unpack(packed: Any) -> Tensor:
        if not isinstance(packed, _Kept):
            node, *view = packed
            return _output(node).as_strided(*view)
        tensor, version = packed
        if tensor._version != version:  # torch itself skips this check for tensors that go through hooks
            raise RuntimeError(
                f"a tensor of shape {list(tensor.shape)} that is needed for a gradient was modified by an inplace "
                f"operation: it is at version {tensor._version}, expected version {version}"
            )
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield
