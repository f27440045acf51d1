"""Sum and ReLU in one pass over memory, where no gradient is needed."""

import torch
from torch import Tensor


def add_relu(x: Tensor, other: Tensor, *, overwrite: bool = False) -> Tensor:
    """Return the ReLU of a sum.

    Args:
        x: Tensor.
        other: Tensor of the same shape, or one that is broadcast to it.
        overwrite: Whether the result replaces ``x``, which nothing else needs.
    """
    is_fused = x.device.type == "cpu" and x.dtype == other.dtype == torch.float32 and not torch.is_grad_enabled()
    if is_fused and not torch.compiler.is_compiling() and not torch.jit.is_tracing():
        return torch._add_relu_(x, other) if overwrite else torch._add_relu(x, other)
    return (x.add_(other) if overwrite else x + other).relu_()
