"""Training step: forward and backward passes of the accumulated parts, gradient clipping, optimizer."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from splitnest.device import DTYPES
from splitnest.distributed import all_reduce_mean, no_sync_unless
from splitnest.models.layers.recompute import recomputing
from splitnest.models.own import check_losses
from splitnest.recipe import Training
from splitnest.structures.batch import Batch
from splitnest.training.not_finite import NotFinite, format_values
from splitnest.training.state import TrainingState


class Losses(nn.Module):
    """Module whose ``forward`` is the ``loss`` of a model, so that DistributedDataParallel can wrap it.

    Args:
        model: Module with ``loss(batch)``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch, scalars by name."""
        with recomputing(batch.images.device):
            return check_losses(self.model.loss(batch), self.model)


def train_step(
    network: nn.Module, state: TrainingState, train_cfg: Training, parts: Sequence[Batch]
) -> tuple[dict[str, float], float]:
    """Accumulate gradients over micro-batches, and take an optimizer step.

    Args:
        network: ``Losses`` of ``state.model``, wrapped in DistributedDataParallel in a process group.
        state: State of the training, advanced by a step.
        train_cfg: Section ``train`` of the recipe.
        parts: Parts of the batch.

    Returns:
        Losses by name, averaged over parts and processes, and the norm of the gradient before clipping.

    Raises:
        NotFinite: A loss or the gradient is not finite; the step was not taken.
    """
    device, dtype = state.device, state.dtype
    means: dict[str, float] = {}
    state.optimizer.zero_grad(set_to_none=True)
    for number, part in enumerate(parts, start=1):
        with no_sync_unless(number == len(parts), network):
            with torch.autocast(device.type, DTYPES[train_cfg.precision], enabled=train_cfg.precision != "fp32"):
                losses = network(part.to(device, dtype))
            scalars = torch.stack([loss.to(dtype) for loss in losses.values()])
            values = dict(zip(losses, all_reduce_mean(scalars).tolist(), strict=True))
            if not all(map(math.isfinite, values.values())):
                raise NotFinite(format_values(values))
            state.scaler.scale(scalars.sum() / len(parts)).backward()
        means = {name: means.get(name, 0.0) + value / len(parts) for name, value in values.items()}
    norm = _clip_gradients(state, train_cfg.clip_grad_norm)
    if not math.isfinite(norm) and not state.scaler.is_enabled():  # the scaler skips the step and lowers its scale
        raise NotFinite(f"{format_values(means)}, gradient norm {norm}")
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.scheduler.step()
    if state.ema is not None:
        state.ema.update_parameters(state.model)
    state.step += 1
    return means, norm


def _clip_gradients(state: TrainingState, max_norm: float | None) -> float:
    """Clip the gradient to a maximum norm, and return its norm before that."""
    state.scaler.unscale_(state.optimizer)
    parameters = [p for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters])
    if max_norm is not None:
        clip_grads_with_norm_(parameters, max_norm, norm)
    return norm.item()
