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
from splitnest.data.workers import plain_worker_errors
from splitnest.device import DTYPES
from splitnest.errors import Interrupted, SplitnestError
from splitnest.layers.drop_block import set_progress
from splitnest.layers.recompute import recomputing
from splitnest.processes import mean_of, world_size
from splitnest.recipe import Training
from splitnest.training.display import Display
from splitnest.training.distributed import not_yet_shared, shared
from splitnest.training.interruption import Interruption
from splitnest.training.meter import Measured, Meter
from splitnest.training.not_finite import NotFinite, listed, skipping
from splitnest.training.run import RunFolder
from splitnest.training.schedule import Schedule
from splitnest.training.state import TrainingState
from splitnest.training.statistics import renew_statistics

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
        with recomputing():
            return self.model.loss(batch)


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
        Interrupted: SIGTERM or SIGINT came; a checkpoint is written.
        WeightsError: A checkpoint cannot be written.
        UsageError: Another file of the run cannot be written.
    """
    network = shared(Losses(state.model), state.device).train()
    meter, begun = Meter(), state.step
    interruption = Interruption(state, schedule.total, folder.path)
    with Display(schedule.total, state.step) as display, interruption, plain_worker_errors():
        batches = iter(data.steps(state.step))
        while state.step < schedule.total or _owes_evaluation(state, schedule):
            if not _owes_evaluation(state, schedule):  # else it was broken off in the evaluation after its last step
                measured = _next_step(network, state, schedule, batches, folder, begun)
                if measured is not None:
                    meter.add(measured)
                    display.update(state.step, measured)
            if schedule.logs(state.step):
                row = {"step": state.step, "epoch": schedule.epoch(state.step)} | meter.row()
                if _owes_evaluation(state, schedule):
                    with display.paused(), _saved_on_error(state, folder, begun), interruption.at_once():
                        metrics = evaluate_best(state, schedule.facts, data, folder, evaluate)
                        display.metrics(state.step, metrics)
                    state.evaluated_step = state.step
                    row |= metrics
                    network.train()
                folder.log(row)
            stops = interruption.is_due()
            if schedule.saves(state.step) or stops:
                folder.save_last(state)
            if stops and state.step < schedule.total:
                raise interruption.error()


def _next_step(
    network: nn.Module,
    state: TrainingState,
    schedule: Schedule,
    batches: Iterator[Sequence[Batch]],
    folder: RunFolder,
    begun: int,
) -> Measured | None:
    """Wait for a batch, take a step, and return what it measured; None of a step that is skipped."""
    started, rate = time.perf_counter(), schedule.rate(state.step)
    with _saved_on_error(state, folder, begun):
        parts = next(batches)
    waited = time.perf_counter() - started
    set_progress(state.model, state.step / schedule.total)
    with skipping(state, schedule.facts, rate, parts, folder):
        losses, norm = train_step(network, state, schedule.facts, parts)
        seconds = time.perf_counter() - started
        return Measured(losses, norm, rate, schedule.facts.batch_size, seconds, waited)
    return None


def train_step(
    network: nn.Module, state: TrainingState, facts: Training, parts: Sequence[Batch]
) -> tuple[dict[str, float], float]:
    """Take one step: the gradients of ``parts``, one after the other, averaged; then the optimizer.

    Args:
        network: ``Losses`` of ``state.model``, shared by all processes.
        state: Advanced by a step.
        facts: Of the recipe.
        parts: Of the batch.

    Returns:
        The losses, those of all processes together, and the norm of the gradient before it is clipped.

    Raises:
        NotFinite: See there.
    """
    device, dtype = state.device, state.dtype
    means: dict[str, float] = {}
    state.optimizer.zero_grad(set_to_none=True)
    for number, part in enumerate(parts, start=1):
        with not_yet_shared(network, is_last=number == len(parts)):
            with torch.autocast(device.type, DTYPES[facts.precision], enabled=facts.precision != "fp32"):
                losses = network(part.to(device, dtype))
            scalars = torch.stack([loss.to(dtype) for loss in losses.values()])
            values = dict(zip(losses, mean_of(scalars).tolist(), strict=True))
            if not all(map(math.isfinite, values.values())):
                raise NotFinite(listed(values))
            state.scaler.scale(scalars.sum() / len(parts)).backward()
        means = {name: means.get(name, 0.0) + value / len(parts) for name, value in values.items()}
    norm = _clip(state, facts.clip_norm)
    if not math.isfinite(norm) and not state.scaler.is_enabled():  # the scaler skips the step, and scales less
        raise NotFinite(f"{listed(means)}, norm of the gradient {norm}")
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
        before, state.best = state.best, metrics
        try:
            folder.save_best(state)
        except BaseException:  # it is evaluated again when the training goes on, and is then the best again
            state.best = before
            raise
    return metrics


def _owes_evaluation(state: TrainingState, schedule: Schedule) -> bool:
    return schedule.evaluates(state.step) and state.evaluated_step != state.step


@contextmanager
def _saved_on_error(state: TrainingState, folder: RunFolder, begun: int) -> Iterator[None]:
    """Keep what was done since step ``begun`` when data cannot be read, or an evaluation fails or is broken off.

    Saving takes all processes: where one alone has failed, the checkpoint before stays the last.
    """
    try:
        yield
    except SplitnestError as error:
        if state.step > begun and (world_size() == 1 or isinstance(error, Interrupted)):
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
