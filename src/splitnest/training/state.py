"""State of a training: everything that changes while it runs, and that a checkpoint stores."""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from splitnest.recipe import Training
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.training.ema import build_ema
from splitnest.training.optim import build_optimizer, build_scheduler
from splitnest.training.schedule import Schedule
from splitnest.training.selection import EarlyStopping, score


@dataclass
class TrainingState:
    """State of a training after ``step`` steps.

    Attributes:
        model: Trained module with ``loss(batch)``.
        optimizer: Optimizer of its parameters.
        scheduler: Scheduler of the learning rate.
        scaler: Loss scaler, enabled for fp16 only.
        ema: Exponential moving average of the model; None without one.
        step: Number of steps done.
        best: Metrics of the best evaluation; empty before the first.
        evaluated_step: Number of steps done at the last evaluation.
        skipped: Number of steps that were skipped because of non-finite values.
        early_stopping: Evaluations without a gain.
        score_thresholds: Best score thresholds at the last evaluation; None for tasks without them.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LambdaLR
    scaler: GradScaler
    ema: AveragedModel | None
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    evaluated_step: int = 0
    skipped: int = 0
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    score_thresholds: ScoreThresholds | None = None

    @property
    def evaluated_model(self) -> nn.Module:
        """Model that is evaluated and saved for use: the EMA if there is one."""
        return self.model if self.ema is None else self.ema.module

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the model's weights: float32, unless the caller changed it."""
        return next(self.model.parameters()).dtype

    def is_best(self, metrics: dict[str, float]) -> bool:
        """Return whether the score of the metrics is defined and exceeds that of the best evaluation so far."""
        new, best = score(metrics), score(self.best)
        return new is not None and (best is None or new > best)


def initial_state(model: nn.Module, train_cfg: Training, schedule: Schedule) -> TrainingState:
    """Return the state before the first step of a model that is on its device and has its initial weights."""
    optimizer = build_optimizer(model, train_cfg)
    scaler = GradScaler(next(model.parameters()).device.type, enabled=train_cfg.precision == "fp16")
    ema = None if train_cfg.ema_decay is None else build_ema(model, train_cfg.ema_decay)
    return TrainingState(model, optimizer, build_scheduler(optimizer, schedule), scaler, ema)
