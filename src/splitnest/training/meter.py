"""Measurements of training steps, and their means."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StepMetrics:
    """Measurements of one step.

    Attributes:
        losses: Loss name -> value.
        grad_norm: Norm of all gradients together before clipping; infinite after an fp16 overflow.
        lr: Learning rate of the step.
        num_images: Number of images of the batch.
        seconds: Duration of the whole step.
        data_seconds: Time in the step spent waiting for the batch.
    """

    losses: Mapping[str, float]
    grad_norm: float
    lr: float
    num_images: int
    seconds: float
    data_seconds: float

    @property
    def loss(self) -> float:
        """Sum of the losses, which is minimized."""
        return sum(self.losses.values())


class Meter:
    """Means of the steps between two calls of ``row``."""

    def __init__(self) -> None:
        self._steps: list[StepMetrics] = []

    def add(self, metrics: StepMetrics) -> None:
        """Add the measurements of a step."""
        self._steps.append(metrics)

    def row(self) -> dict[str, float]:
        """Return the means of the steps since the last call; an empty dictionary without steps.

        ``lr`` is that of the last step, ``grad_norm`` the mean of the finite ones, ``images_per_second`` includes
        waiting for data, and ``data_fraction`` is the fraction of the time spent waiting for data.
        """
        steps, self._steps = self._steps, []
        if not steps:
            return {}
        names = dict.fromkeys(name for step in steps for name in step.losses)
        norms = [step.grad_norm for step in steps if math.isfinite(step.grad_norm)]
        seconds = sum(step.seconds for step in steps)
        return {
            "lr": steps[-1].lr,
            "loss": sum(step.loss for step in steps) / len(steps),
            **{name: sum(step.losses.get(name, 0.0) for step in steps) / len(steps) for name in names},
            **({"grad_norm": sum(norms) / len(norms)} if norms else {}),
            "images_per_second": sum(step.num_images for step in steps) / seconds,
            "data_fraction": sum(step.data_seconds for step in steps) / seconds,
        }
