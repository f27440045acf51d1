"""Gradient checkpointing of stages: features are recomputed in the backward pass instead of being kept."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from splitnest.models.layers.recompute import keeping


def checkpointed(stage: nn.Module, x: Tensor) -> Tensor:
    """Return ``stage(x)`` and keep only ``x`` for gradients; a plain call where no gradients are computed.

    Statistics of batch normalization are updated once, and random numbers are the same in the second pass, so losses,
    gradients and buffers are those of a plain call.
    """
    if not torch.is_grad_enabled():
        return stage(x)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return keeping(), _frozen_statistics(stage)

    output: Tensor = checkpoint(stage, x, use_reentrant=False, context_fn=contexts)
    return output


@contextmanager
def _frozen_statistics(stage: nn.Module) -> Iterator[None]:
    """Keep the running statistics of normalization layers inside the context."""
    norms = [layer for layer in stage.modules() if isinstance(layer, _NormBase) and layer.training]
    saved = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, tracked in saved:
        norm.momentum = 0.0
        if tracked is not None:
            norm.num_batches_tracked = tracked.clone()
    try:
        with keeping():
            yield
    finally:
        for norm, momentum, tracked in saved:
            norm.momentum, norm.num_batches_tracked = momentum, tracked
