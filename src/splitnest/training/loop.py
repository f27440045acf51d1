"""Training loop: train, evaluate, log, save, stop."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

import torch
from torch import nn

from splitnest.distributed import print_once, wrap_ddp
from splitnest.models.layers.drop_block import set_progress
from splitnest.recipe import Training
from splitnest.structures.batch import Batch
from splitnest.training.callbacks import Callbacks
from splitnest.training.display import Display
from splitnest.training.guard import Guard
from splitnest.training.meter import Meter, StepMetrics
from splitnest.training.not_finite import skipping_not_finite
from splitnest.training.precise_bn import recompute_statistics
from splitnest.training.run_folder import RunFolder
from splitnest.training.schedule import Schedule
from splitnest.training.selection import score, selected_first
from splitnest.training.state import TrainingState
from splitnest.training.step import Losses, train_step

Evaluate = Callable[[nn.Module], Mapping[str, float]]
"""Function from a model in evaluation mode to its metrics."""


class TrainingData(Protocol):
    """Batches without end, the same for each iteration."""

    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        """Yield the batch of step ``start`` and of all following steps, in the parts that are accumulated."""


def fit(
    state: TrainingState,
    schedule: Schedule,
    data: TrainingData,
    folder: RunFolder,
    evaluate: Evaluate | None,
    guard: Guard,
    callbacks: Callbacks,
) -> None:
    """Train from ``state.step`` to the end of the schedule, or until early stopping is due.

    Rows of losses and metrics and the checkpoints ``last`` and ``best`` are written into the run folder. Evaluation
    does not change torch's random state, so training does not depend on how often the model is evaluated.

    Args:
        state: State of the training, advanced in place.
        schedule: Schedule of the training.
        data: Training batches.
        folder: Run folder.
        evaluate: Evaluation of the model; None without a validation dataset.
        guard: Guard of the training.
        callbacks: Callbacks, which are called after what they get was written; ``on_end`` only on errors.

    Raises:
        DataError: A loss or the gradient is not finite, or the data cannot be read.
        Interrupted: SIGTERM or SIGINT was received; a checkpoint was written.
        OutputError: A file cannot be written.
        UsageError: Memory ran out.
        UserCodeError: A callback, metric or augmentation raises an exception; a checkpoint was written.
    """
    network = wrap_ddp(Losses(state.model), state.device, finds_unused=not guard.built).train()
    meter = Meter()
    patience = schedule.train_cfg.patience
    metrics: dict[str, float] | None
    with callbacks.ending_on_error(), Display(schedule.total, state.step) as display, guard:
        if schedule.evaluates(state.step) and state.evaluated_step != state.step:  # interrupted while it was evaluated
            metrics = _evaluation(state, schedule, data, folder, evaluate, display, guard)
            row = _row(state, schedule) | metrics
            folder.log(row)
            folder.save_last(state)
            _call(callbacks, guard, row, metrics)
        batches = iter(data.steps(state.step))
        while state.step < schedule.total and not state.early_stopping.is_due(patience):
            measured, metrics = _train(network, state, schedule, batches, folder, guard), None
            if measured is not None:
                meter.add(measured)
                display.update(state.step, measured)
            if schedule.logs(state.step):
                row = _row(state, schedule) | meter.row()
                if schedule.evaluates(state.step):
                    metrics = _evaluation(state, schedule, data, folder, evaluate, display, guard)
                    row |= metrics
                    network.train()
                folder.log(row)
                _call(callbacks, guard, row, metrics)
            is_interrupted = guard.is_interrupted()
            if schedule.saves(state.step) or is_interrupted:
                folder.save_last(state)
            if is_interrupted and state.step < schedule.total:
                raise guard.interruption()
    if state.early_stopping.is_due(patience) and state.step < schedule.total:
        print_once(f"stopped early: {patience} evaluations without a gain, after step {state.step} of {schedule.total}")


def _call(callbacks: Callbacks, guard: Guard, row: Mapping[str, float], metrics: Mapping[str, float] | None) -> None:
    """Call the callbacks with a row, and with the metrics of an evaluation if there was one."""
    with guard.saving_on_error():
        if metrics:
            callbacks.evaluation(int(row["step"]), metrics)
        callbacks.row(row)


def _row(state: TrainingState, schedule: Schedule) -> dict[str, float]:
    return {"step": state.step, "epoch": schedule.epoch(state.step)}


def _train(
    network: nn.Module,
    state: TrainingState,
    schedule: Schedule,
    batches: Iterator[Sequence[Batch]],
    folder: RunFolder,
    guard: Guard,
) -> StepMetrics | None:
    """Take a step and return its measurements; None for a step that was skipped."""
    started, lr, train_cfg = time.perf_counter(), schedule.lr(state.step), schedule.train_cfg
    with guard.saving_on_error():
        parts = next(batches)
    data_seconds = time.perf_counter() - started
    set_progress(state.model, state.step / schedule.total)
    with skipping_not_finite(state, train_cfg, lr, parts, folder):
        losses, norm = train_step(network, state, train_cfg, parts)
        return StepMetrics(losses, norm, lr, train_cfg.num_images, time.perf_counter() - started, data_seconds)
    return None


def _evaluation(
    state: TrainingState,
    schedule: Schedule,
    data: TrainingData,
    folder: RunFolder,
    evaluate: Evaluate | None,
    display: Display,
    guard: Guard,
) -> dict[str, float]:
    """Evaluate the model, save it if it is the best so far, and return its metrics."""
    with display.paused(), guard.saving_on_error(), guard.abortable():
        metrics = evaluate_model(state, schedule.train_cfg, data, evaluate)
        if metrics:
            metrics = selected_first(metrics, schedule.train_cfg.best_by)
        if state.is_best(metrics):
            previous, state.best = state.best, metrics
            try:
                folder.save_best(state)
            except BaseException:  # after resuming it is evaluated again, and is the best again
                state.best = previous
                raise
        display.metrics(state.step, metrics)
    state.early_stopping.update(score(metrics), schedule.train_cfg.min_gain)
    state.evaluated_step = state.step
    return metrics


def evaluate_model(
    state: TrainingState, train_cfg: Training, data: TrainingData, evaluate: Evaluate | None
) -> dict[str, float]:
    """Recompute the statistics of batch normalization if the recipe says so (precise BN), and evaluate the model.

    Returns:
        Metrics by name; empty without ``evaluate``.
    """
    model, device = state.evaluated_model, state.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        if train_cfg.precise_bn_batches:
            steps = islice(data.steps(state.step), train_cfg.precise_bn_batches)
            recompute_statistics(Losses(model), (part.to(device, torch.float32) for step in steps for part in step))
        model.eval()
        return {} if evaluate is None else dict(evaluate(model))
