"""The training loop."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from splitnest.batch import Batch
from splitnest.errors import DataError, SplitnestError
from splitnest.layers.drop_block import set_progress
from splitnest.processes import gathered, mean_of, world_size
from splitnest.recipe import Training
from splitnest.training.display import Display
from splitnest.training.distributed import not_yet_shared, shared
from splitnest.training.meter import Measured, Meter
from splitnest.training.run import RunFolder
from splitnest.training.schedule import Schedule
from splitnest.training.state import TrainingState
from splitnest.training.statistics import renew_statistics

AUTOCAST = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Evaluate = Callable[[nn.Module], Mapping[str, float]]
"""From a model in evaluation mode to its metrics; the first of them tells which model is the best."""


class TrainingData(Protocol):
    """Batches without end, the same ones whenever they are asked for."""

    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        """Yield the batch of step ``start``, of the next, and so on; each in the parts that are accumulated."""


class Losses(nn.Module):
    """A model whose ``forward`` is its ``loss``, so that DistributedDataParallel can wrap it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch, scalars by name."""
        return self.model.loss(batch)


class NotFinite(Exception):
    """A loss or the gradient is infinite or no number. The step was not taken."""


def fit(
    state: TrainingState,
    schedule: Schedule,
    data: TrainingData,
    folder: RunFolder,
    evaluate: Evaluate | None = None,
) -> None:
    """Train from ``state.step`` to the end of the schedule.

    Rows of losses and metrics and the checkpoints ``last`` and ``best`` go to ``folder``. Evaluation does not disturb
    torch's random numbers, so how often a model is evaluated does not change how it trains.

    Args:
        state: The training so far; advanced in place.
        schedule: When what happens.
        data: What is trained on.
        folder: Of the run.
        evaluate: Called when the schedule says so; None where there is nothing to evaluate on.

    Raises:
        DataError: A loss or the gradient is not finite, or the data cannot be read.
        WeightsError: A checkpoint cannot be written.
        UsageError: Another file of the run cannot be written.
    """
    network = shared(Losses(state.model), state.device).train()
    meter = Meter()
    with Display(schedule.total, state.step) as display:
        batches = iter(data.steps(state.step))
        while state.step < schedule.total:
            started, rate = time.perf_counter(), schedule.rate(state.step)
            parts = next(batches)
            waited = time.perf_counter() - started
            set_progress(state.model, state.step / schedule.total)
            try:
                losses, norm = train_step(network, state, schedule.facts, parts)
            except NotFinite as error:
                raise DataError(_explain(error, state.step, rate, parts, folder)) from error
            seconds = time.perf_counter() - started
            measured = Measured(losses, norm, rate, schedule.facts.batch_size, seconds, waited)
            meter.add(measured)
            display.update(state.step, measured)
            if schedule.logs(state.step):
                row = {"step": state.step, "epoch": schedule.epoch(state.step)} | meter.row()
                if schedule.evaluates(state.step):
                    with display.paused(), _saved_on_error(state, folder):
                        metrics = evaluate_best(state, schedule.facts, data, folder, evaluate)
                        display.metrics(state.step, metrics)
                    row |= metrics
                    network.train()
                folder.log(row)
            if schedule.saves(state.step):
                folder.save_last(state)


def train_step(
    network: nn.Module,
    state: TrainingState,
    facts: Training,
    parts: Sequence[Batch],
    dtype: torch.dtype = torch.float32,
) -> tuple[dict[str, float], float]:
    """Take one step: the gradients of ``parts``, one after the other, averaged; then the optimizer.

    Args:
        network: ``Losses`` of ``state.model``, shared by all processes.
        state: Advanced by a step.
        facts: Of the recipe.
        parts: Of the batch.
        dtype: Of the weights.

    Returns:
        The losses, those of all processes together, and the norm of the gradient before it is clipped.

    Raises:
        NotFinite: See there.
    """
    device = state.device
    means: dict[str, float] = {}
    state.optimizer.zero_grad(set_to_none=True)
    for number, part in enumerate(parts, start=1):
        with not_yet_shared(network, is_last=number == len(parts)):
            with torch.autocast(device.type, AUTOCAST[facts.precision], enabled=facts.precision != "fp32"):
                losses = network(part.to(device, dtype))
            scalars = torch.stack([loss.to(dtype) for loss in losses.values()])
            values = dict(zip(losses, mean_of(scalars).tolist(), strict=True))
            if not all(map(math.isfinite, values.values())):
                raise NotFinite(_listed(values))
            state.scaler.scale(scalars.sum() / len(parts)).backward()
        means = {name: means.get(name, 0.0) + value / len(parts) for name, value in values.items()}
    norm = _clip(state, facts.clip_norm)
    if not math.isfinite(norm) and not state.scaler.is_enabled():  # the scaler skips the step, and scales less
        raise NotFinite(f"{_listed(means)}, norm of the gradient {norm}")
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.scheduler.step()
    if state.average is not None:
        state.average.update_parameters(state.model)
    state.step += 1
    return means, norm


def evaluate_best(
    state: TrainingState, facts: Training, data: TrainingData, folder: RunFolder, evaluate: Evaluate | None
) -> dict[str, float]:
    """Evaluate ``state.evaluated`` and save it if it is the best so far.

    Returns:
        Its metrics; none without ``evaluate``, but the statistics of batch normalisation are renewed all the same.
    """
    model, device = state.evaluated, state.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        if facts.precise_bn_steps:
            parts = (part for step in islice(data.steps(state.step), facts.precise_bn_steps) for part in step)
            renew_statistics(Losses(model), (part.to(device, torch.float32) for part in parts))
        model.eval()
        metrics = {} if evaluate is None else dict(evaluate(model))
    if state.is_best(metrics):
        state.best = metrics
        folder.save_best(state)
    return metrics


@contextmanager
def _saved_on_error(state: TrainingState, folder: RunFolder) -> Iterator[None]:
    """Keep the steps since the last checkpoint when an evaluation fails, on an unreadable photograph for example.

    Of several processes one alone may have failed, and saving takes all of them.
    """
    try:
        yield
    except SplitnestError:
        if world_size() == 1:
            folder.save_last(state)
        raise


def _clip(state: TrainingState, limit: float | None) -> float:
    """Clip the gradient to a norm of ``limit``; return its norm before that."""
    state.scaler.unscale_(state.optimizer)
    parameters = [p for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters])
    if limit is not None:
        clip_grads_with_norm_(parameters, limit, norm)
    return norm.item()


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _explain(error: NotFinite, step: int, rate: float, parts: Sequence[Batch], folder: RunFolder) -> str:
    """Say what was not finite, in which images, and what there is to go on from."""
    own = [name for part in parts for name in part.names or ["(no name)"] * len(part)]
    images = ", ".join(name for names in gathered(own) for name in names)
    good = f"The last good checkpoint is {folder.last}." if folder.last.exists() else "There is no checkpoint yet."
    return (
        f"Training stopped at step {step}, where not everything is finite: {error}; learning rate {rate:.4g}; images "
        f"{images}. {good} Lower train.learning_rate, raise train.warmup_steps, set train.clip_norm, or check the "
        f"images."
    )
