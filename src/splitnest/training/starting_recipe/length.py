"""Length of a training, from the number of images and the batch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from splitnest.training.starting_recipe.entry import Entry

NUM_EVALUATIONS = 4
"""Number of evaluations of a training whose length is in iterations."""

WARMUP_FRACTION = 0.05
"""Fraction of a training in which the learning rate rises."""

MAX_WARMUP = 500
"""Maximum length of the warm-up in iterations."""


@dataclass(frozen=True)
class Length:
    """Length of a training.

    Attributes:
        images: Number of training images, or persons.
        batch_size: Number of those in an iteration.
        iterations: Number of iterations.
        what: Name of the images in comments.
    """

    images: int
    batch_size: int
    iterations: int
    what: str = "images"

    @property
    def epochs(self) -> float:
        """Length in epochs."""
        return self.iterations * self.batch_size / self.images

    @property
    def warmup(self) -> int:
        """Number of iterations of the warm-up."""
        return min(MAX_WARMUP, max(1, round(WARMUP_FRACTION * self.iterations)))

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of the length, the warm-up, evaluations and checkpoints."""
        passes = f"{self.epochs:.0f} passes over {self.images} {self.what}"
        yield Entry("train.iterations", self.iterations, passes)
        warmup = f"{100 * self.warmup / self.iterations:.0f}% of the training"
        yield Entry("train.warmup_iterations", self.warmup, warmup)
        interval = math.ceil(self.iterations / NUM_EVALUATIONS)
        yield Entry("train.evaluate_every", interval, "iterations; the best model is best.pt")
        yield Entry("train.save_every", interval, "iterations; an interrupted training resumes from there")


def length(images: int, batch_size: int, epochs: float, minimum: int, maximum: int, what: str = "images") -> Length:
    """Return a length of about a number of epochs, within limits in iterations, rounded to 50.

    Args:
        images: Number of training images.
        batch_size: Number of images in an iteration.
        epochs: Number of passes over the images that is aimed at.
        minimum, maximum: Minimum and maximum number of iterations.
        what: Name of the images in comments.
    """
    iterations = math.ceil(epochs * images / batch_size / 50) * 50
    return Length(images, batch_size, min(maximum, max(minimum, iterations)), what)
