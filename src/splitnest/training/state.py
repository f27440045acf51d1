"""Everything that changes while a model trains, and so everything that a checkpoint holds."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from splitnest.recipe import Training
from splitnest.training.optim import make_optimizer, make_scheduler
from splitnest.training.schedule import Schedule


@dataclass
class TrainingState:
    """A training after ``step`` steps.

    Attributes:
        model: What trains: a module with ``loss(batch)``.
        optimizer, scheduler: Of its parameters, and of their learning rate.
        scaler: Of the losses, in use with fp16 alone.
        average: A moving average of the model, None for none.
        step: Steps that are done.
        best: Metrics of the best evaluation so far; empty before the first.
        evaluated_step: Steps that were done at the last evaluation.
        skipped: Steps that were skipped as not everything was finite.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LambdaLR
    scaler: GradScaler
    average: AveragedModel | None
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    evaluated_step: int = 0
    skipped: int = 0

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated and meant to be used: the average where there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the model's weights: float32, unless somebody moved it."""
        return next(self.model.parameters()).dtype

    def is_best(self, metrics: dict[str, float]) -> bool:
        """Whether the first of ``metrics``, by which evaluations are compared, is over that of the best so far."""
        return bool(metrics) and (not self.best or next(iter(metrics.values())) > next(iter(self.best.values())))


def start_state(model: nn.Module, facts: Training, schedule: Schedule) -> TrainingState:
    """Return the state before the first step. The model is on its device and has the weights that it starts from."""
    optimizer = make_optimizer(model, facts)
    scaler = GradScaler(next(model.parameters()).device.type, enabled=facts.precision == "fp16")
    average = None if facts.ema_decay is None else make_average(model, facts.ema_decay)
    return TrainingState(model, optimizer, make_scheduler(optimizer, schedule), scaler, average)


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of the parameters and of the statistics of batch normalisation.

    Statistics are averaged with the weights that they belong to; counters are copied. After ``n`` steps the decay is
    ``min(decay, (1 + n) / (10 + n))`` (TensorFlow's ``ExponentialMovingAverage``), so that a short training is not
    held back by the weights it started from.
    """

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        if not averages[0].is_floating_point():
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)
            return
        number = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + number) / (10 + number)))(averages, values, count)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
