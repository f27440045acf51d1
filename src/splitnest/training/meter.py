"""What training steps measure: losses, gradient norm, time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One step.

    Attributes:
        losses: Name -> value.
        gradient_norm: Of all gradients together, before they are clipped; infinite where fp16 overflowed.
        learning_rate: Of the step.
        images: In the batch.
        seconds: Of the whole step.
        waited: Seconds of those that the batch was waited for.
    """

    losses: Mapping[str, float]
    gradient_norm: float
    learning_rate: float
    images: int
    seconds: float
    waited: float

    @property
    def loss(self) -> float:
        """What was minimised: the sum of the losses."""
        return sum(self.losses.values())


class Meter:
    """The means of steps, from one call of ``row`` to the next."""

    def __init__(self) -> None:
        self._steps: list[Measured] = []

    def add(self, measured: Measured) -> None:
        """Take a step into account."""
        self._steps.append(measured)

    def row(self) -> dict[str, float]:
        """Return the means of the steps since the last call; nothing if there were none.

        ``learning_rate`` is that of the last step, ``gradient_norm`` the mean of finite ones, ``images_per_second``
        includes waiting for data, ``data_wait`` is the share of the time that this took.
        """
        steps, self._steps = self._steps, []
        if not steps:
            return {}
        names = dict.fromkeys(name for step in steps for name in step.losses)
        norms = [step.gradient_norm for step in steps if math.isfinite(step.gradient_norm)]
        seconds = sum(step.seconds for step in steps)
        return {
            "learning_rate": steps[-1].learning_rate,
            "loss": sum(step.loss for step in steps) / len(steps),
            **{name: sum(step.losses.get(name, 0.0) for step in steps) / len(steps) for name in names},
            **({"gradient_norm": sum(norms) / len(norms)} if norms else {}),
            "images_per_second": sum(step.images for step in steps) / seconds,
            "data_wait": sum(step.waited for step in steps) / seconds,
        }
