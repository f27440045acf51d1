"""Learning-rate schedule, and the steps at which a training logs, evaluates and saves: pure functions of the step."""

import math
from dataclasses import dataclass
from functools import cached_property

from splitnest.recipe import Training
from splitnest.recipe.optimization import Cosine, MultiStep, Poly

MAX_ROWS = 1000
"""Maximum number of logged rows, as long as rows are at most ``MAX_ROW_STEPS`` apart."""

MAX_ROW_STEPS = 50
"""Maximum number of steps of a logged row (mmdetection's ``LoggerHook`` has the same)."""


@dataclass(frozen=True)
class Schedule:
    """Schedule of a training. Step 0 is the first; after step ``n - 1``, ``n`` steps are done.

    Attributes:
        train_cfg: Section ``train`` of the recipe.
        steps_per_epoch: Number of steps of an epoch.
    """

    train_cfg: Training
    steps_per_epoch: int

    @property
    def total(self) -> int:
        """Number of steps of the training."""
        return self._steps(self.train_cfg.iterations or self.train_cfg.epochs or 0)

    @property
    def row_steps(self) -> int:
        """Number of steps of a logged row."""
        return max(1, min(MAX_ROW_STEPS, self.total // MAX_ROWS))

    def epoch(self, done: int) -> float:
        """Return a number of steps in epochs."""
        return done / self.steps_per_epoch

    def evaluates(self, done: int) -> bool:
        """Return whether the model is evaluated after ``done`` steps; it always is at the end."""
        return self._is_due(done, self.train_cfg.evaluate_every)

    @property
    def first_evaluation(self) -> int:
        """Number of steps done at the first evaluation."""
        return min(self._steps(self.train_cfg.evaluate_every) or self.total, self.total)

    @property
    def num_evaluations(self) -> int:
        """Number of evaluations of the whole training."""
        return -(-self.total // self.first_evaluation)

    def saves(self, done: int) -> bool:
        """Return whether the last checkpoint is written after ``done`` steps; it is after each evaluation."""
        return self._is_due(done, self.train_cfg.save_every) or self.evaluates(done)

    def logs(self, done: int) -> bool:
        """Return whether a row is logged after ``done`` steps."""
        return done % self.row_steps == 0 or self.evaluates(done)

    def lr(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.train_cfg.peak_lr * self.factor(step)

    def factor(self, step: int) -> float:
        """Return the learning rate of a step as a fraction of the recipe's: warm-up times decay.

        The warm-up is ``f + (1 - f) * step / warmup_steps``, as in detectron2 (``WarmupMultiStepLR``) and in the mmcv
        that trained the published models (``LrUpdaterHook``): the first step after it has the full learning rate.
        """
        return self._warmup(step) * self._decay(step)

    @cached_property
    def warmup_steps(self) -> int:
        """Number of steps of the warm-up."""
        return self.train_cfg.warmup_iterations or self.train_cfg.warmup_epochs * self.steps_per_epoch

    @cached_property
    def milestones(self) -> tuple[int, ...]:
        """Steps at which a multi-step schedule multiplies the learning rate by ``gamma``."""
        schedule = self.train_cfg.schedule
        return tuple(map(self._steps, schedule.milestones)) if isinstance(schedule, MultiStep) else ()

    def _warmup(self, step: int) -> float:
        if step >= self.warmup_steps:
            return 1.0
        progress = step / self.warmup_steps
        return self.train_cfg.warmup_factor * (1 - progress) + progress

    def _decay(self, step: int) -> float:
        match self.train_cfg.schedule:
            case Cosine():  # after the warm-up: MXNet CosineScheduler, PyTorch-Encoding LR_Scheduler
                length = max(self.total - self.warmup_steps, 1)
                return 0.5 * (1 + math.cos(math.pi * min(max(step - self.warmup_steps, 0) / length, 1.0)))
            case Poly(power=power, min_lr=min_lr):  # mmcv PolyLrUpdaterHook
                minimum = min_lr / self.train_cfg.peak_lr
                return (1 - minimum) * (1 - min(step / self.total, 1.0)) ** power + minimum
            case MultiStep(gamma=gamma):
                return gamma ** sum(step >= milestone for milestone in self.milestones)

    def _is_due(self, done: int, every: int) -> bool:
        return done == self.total or (every > 0 and done > 0 and done % self._steps(every) == 0)

    def _steps(self, count: int) -> int:
        """Return a length in the unit of the recipe, epochs or iterations, as a number of steps."""
        return count if self.train_cfg.epochs is None else count * self.steps_per_epoch
