"""Statistics that are sums of counts of each class over images.

Shapes: I images, B samples of images, K classes.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.base import Arrays, ImageStatistics


class ClassCounts(ImageStatistics):
    """Metrics of sums of counts over any choice of images.

    Attributes:
        num_counts: Number of counts of each class.
        dtype: Type of the counts.
        score: Name of the metric that is the score of an image.

    Args:
        counts: Counts of each class in each image, ``[I, num_counts, K]``.
    """

    num_counts: ClassVar[int]
    dtype: ClassVar[type[np.generic]]
    score: ClassVar[str]

    def __init__(self, counts: NDArray[Any]) -> None:
        self.counts = counts

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.counts)

    def metrics(self, weights: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics of each sample, ``[B]``."""
        return self._metrics(np.tensordot(weights, self.counts, axes=1))

    def image_scores(self) -> NDArray[np.float64]:
        """Return the metric ``score`` of each image, ``[I]``; NaN where it is undefined."""
        values = self._metrics(self.counts)[self.score]
        return np.where(values < 0, np.nan, values)

    def arrays(self) -> Arrays:
        """Return the counts."""
        return {"counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the statistics of ``arrays``."""
        counts = np.asarray(arrays["counts"], cls.dtype)
        if counts.ndim != 3 or counts.shape[1] != cls.num_counts:
            raise ValueError("counts has another shape")
        return cls(counts)

    @abstractmethod
    def _metrics(self, sums: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics of sums ``[B, num_counts, K]``; -1 for an undefined one."""
