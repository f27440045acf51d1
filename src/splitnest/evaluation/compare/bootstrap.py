"""Differences of metrics with bootstrap intervals over images.

Shapes: I images, B samples of images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.base import ImageStatistics

NUM_SAMPLES, SEED = 1000, 0
"""Number of samples of images, and seed of their choice."""

CONFIDENCE = 0.95
"""Probability with which an interval contains the difference on other images of the same kind."""

CHUNK = 50
"""Number of samples whose metrics are computed together."""


@dataclass(frozen=True)
class Difference:
    """Difference of one metric.

    Attributes:
        metric: Name of the metric.
        first, second: Values of both models, from 0 to 1, or -1 for an undefined one.
        interval: Limits of the difference, second minus first; None where it is undefined.
    """

    metric: str
    first: float
    second: float
    interval: tuple[float, float] | None

    @property
    def delta(self) -> float | None:
        """Second minus first; None where one is undefined."""
        return None if min(self.first, self.second) < 0 else self.second - self.first

    @property
    def is_certain(self) -> bool:
        """Whether the interval does not contain 0."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


def differences(first: ImageStatistics, second: ImageStatistics) -> list[Difference]:
    """Return the difference of each metric that both have, with its interval.

    The bootstrap is paired: 1000 times, as many images as there are in the dataset are drawn with replacement, and both
    models are measured on them. The interval has the middle 95% of the differences (percentile bootstrap). Detections
    are not matched again: the matches of each image are those of the evaluation, so a sample only sorts and counts.

    Args:
        first, second: Statistics of the same images.
    """
    everything = np.ones((1, first.num_images), np.int64)
    values = [side.metrics(everything) for side in (first, second)]
    names = [name for name in values[0] if name in values[1]]
    samples: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for weights in _samples(first.num_images):
        one, other = first.metrics(weights), second.metrics(weights)
        for name in names:
            is_defined = (one[name] >= 0) & (other[name] >= 0)
            samples[name].append((other[name] - one[name])[is_defined])
    found = []
    for name in names:
        deltas, ends = np.concatenate(samples[name]), ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
        limits = np.quantile(deltas, ends).tolist() if len(deltas) else None
        interval = None if limits is None else (limits[0], limits[1])
        found.append(Difference(name, float(values[0][name][0]), float(values[1][name][0]), interval))
    return found


def _samples(num_images: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each image is drawn in some of the samples, ``[B, I]``."""
    rng = np.random.default_rng(SEED)
    for start in range(0, NUM_SAMPLES, CHUNK):
        count = min(CHUNK, NUM_SAMPLES - start)
        drawn = rng.integers(0, num_images, (count, num_images)) + num_images * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * num_images).reshape(count, num_images)
