"""When what happens in a training, and how high the learning rate is: pure functions of the step."""

import math
from dataclasses import dataclass
from functools import cached_property

from splitnest.recipe import Training

MAX_ROWS = 1000
"""Rows of losses that a training logs, until the rows would be ``MAX_ROW_STEPS`` apart."""

MAX_ROW_STEPS = 50
"""Most steps that a row of losses stands for (mmdetection's ``LoggerHook`` has the same)."""


@dataclass(frozen=True)
class Schedule:
    """The clock of a training. Step 0 is the first; after step ``n - 1``, ``n`` steps are done.

    Attributes:
        facts: The recipe of the training.
        steps_per_epoch: Batches that the training data gives in one epoch.
    """

    facts: Training
    steps_per_epoch: int

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self._steps(self.facts.length)

    @property
    def row_steps(self) -> int:
        """Steps that a row of the logged losses stands for."""
        return max(1, min(MAX_ROW_STEPS, self.total // MAX_ROWS))

    def epoch(self, done: int) -> float:
        """Return how many epochs ``done`` steps are."""
        return done / self.steps_per_epoch

    def evaluates(self, done: int) -> bool:
        """Whether the model is evaluated once ``done`` steps are done; at the end it always is."""
        return self._due(done, self.facts.evaluate_every)

    def saves(self, done: int) -> bool:
        """Whether ``last`` is written once ``done`` steps are done: as the recipe says, and after every evaluation."""
        return self._due(done, self.facts.save_every) or self.evaluates(done)

    def logs(self, done: int) -> bool:
        """Whether a row is logged once ``done`` steps are done."""
        return done % self.row_steps == 0 or self.evaluates(done)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.facts.peak_rate * self.factor(step)

    def factor(self, step: int) -> float:
        """Return the learning rate of a step as a share of the recipe's.

        The warm-up and the decay are multiplied. The warm-up is ``f + (1 - f) * step / warmup_steps``, that of
        detectron2 (``WarmupMultiStepLR``) and of the mmcv that trained the published models (``LrUpdaterHook``):
        the first step after the warm-up has the full rate.
        """
        return self._warmup(step) * self._decay(step)

    @cached_property
    def warmup_steps(self) -> int:
        """Steps of the warm-up."""
        return self.facts.warmup_steps or self.facts.warmup_epochs * self.steps_per_epoch

    def _warmup(self, step: int) -> float:
        if step >= self.warmup_steps:
            return 1.0
        done = step / self.warmup_steps
        return self.facts.warmup_factor * (1 - done) + done

    def _decay(self, step: int) -> float:
        facts, done = self.facts, min(step / self.total, 1.0)
        match facts.schedule:
            case "cosine":  # of what is left after the warm-up: MXNet CosineScheduler, PyTorch-Encoding LR_Scheduler
                left = max(self.total - self.warmup_steps, 1)
                return 0.5 * (1 + math.cos(math.pi * min(max(step - self.warmup_steps, 0) / left, 1.0)))
            case "poly":  # mmcv PolyLrUpdaterHook
                least = facts.min_rate / facts.peak_rate
                return (1 - least) * (1 - done) ** facts.power + least
            case "multi_step":
                return facts.gamma ** sum(step >= milestone for milestone in self.milestones)

    @cached_property
    def milestones(self) -> tuple[int, ...]:
        """Steps from which on the rate is multiplied by ``gamma`` once more."""
        return tuple(self._steps(milestone) for milestone in self.facts.milestones)

    def _due(self, done: int, every: int) -> bool:
        return done == self.total or (every > 0 and done > 0 and done % self._steps(every) == 0)

    def _steps(self, count: int) -> int:
        return count * self.steps_per_epoch if self.facts.unit == "epoch" else count
