"""Statistics of several metrics on the same images, such as boxes and masks."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.accuracy import AccuracyStatistics
from splitnest.metrics.statistics.average_precision import PrecisionStatistics
from splitnest.metrics.statistics.base import Arrays, ImageStatistics
from splitnest.metrics.statistics.pixels import PixelStatistics
from splitnest.metrics.statistics.ratios import RatioStatistics
from splitnest.metrics.statistics.segments import SegmentStatistics

KINDS: dict[str, type[ImageStatistics]] = {
    each.kind: each
    for each in (AccuracyStatistics, PrecisionStatistics, PixelStatistics, RatioStatistics, SegmentStatistics)
}
"""Type of each kind in files."""

MAX_PARTS = 8
"""Maximum number of parts of a file."""


class CombinedStatistics(ImageStatistics):
    """Several statistics of the same images; the first gives the scores of images.

    Args:
        parts: Statistics, at least one.
    """

    kind = "combined"

    def __init__(self, parts: Sequence[ImageStatistics]) -> None:
        self.parts = parts

    @property
    def num_images(self) -> int:
        """Number of images."""
        return self.parts[0].num_images

    def metrics(self, weights: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics of all parts, ``[B]``."""
        return {name: values for part in self.parts for name, values in part.metrics(weights).items()}

    def image_scores(self) -> NDArray[np.float64]:
        """Return the scores of the first part, ``[I]``."""
        return self.parts[0].image_scores()

    def arrays(self) -> Arrays:
        """Return the arrays of all parts, with their numbers in the names."""
        named = {
            f"{number}.{name}": each for number, part in enumerate(self.parts) for name, each in part.arrays().items()
        }
        return {"kinds": np.array([part.kind for part in self.parts]), **named}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the statistics of ``arrays``."""
        kinds = [str(kind) for kind in arrays["kinds"][: MAX_PARTS + 1]]
        if not 0 < len(kinds) <= MAX_PARTS:
            raise ValueError("there are no parts, or too many")
        parts = []
        for number, kind in enumerate(kinds):
            start = f"{number}."
            of_part = {name.removeprefix(start): each for name, each in arrays.items() if name.startswith(start)}
            parts.append(KINDS[kind].from_arrays(of_part))
        if len({part.num_images for part in parts}) > 1:
            raise ValueError("parts have different numbers of images")
        return cls(parts)
