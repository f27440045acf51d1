"""Statistics of mean IoU: pixels of each class in each image.

Shapes: I images, B samples of images, K classes.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.base import Arrays, ImageStatistics, defined_mean


class PixelStatistics(ImageStatistics):
    """Mean IoU over any choice of images.

    Args:
        counts: Pixels of each class that are correct, predicted, and in the ground truth; int64 ``[I, 3, K]``.
    """

    kind = "pixels"

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.counts)

    def metrics(self, weights: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return ``miou``, ``macc`` and ``pixel_accuracy``, ``[B]``."""
        return self._metrics(np.tensordot(weights, self.counts, axes=1))

    def image_scores(self) -> NDArray[np.float64]:
        """Return the mean IoU of the classes of each image, ``[I]``."""
        values = self._metrics(self.counts)["miou"]
        return np.where(values < 0, np.nan, values)

    def arrays(self) -> Arrays:
        """Return the counts."""
        return {"counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the statistics of ``arrays``."""
        counts = np.asarray(arrays["counts"], np.int64)
        if counts.ndim != 3 or counts.shape[1] != 3:
            raise ValueError("counts has another shape")
        return cls(counts)

    def _metrics(self, sums: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics of sums ``[B, 3, K]``."""
        correct, predicted, actual = (sums[:, row].astype(np.float64) for row in range(3))
        union = predicted + actual - correct
        pixels = actual.sum(axis=1)
        return {
            "miou": defined_mean(correct / np.maximum(union, 1), union > 0),
            "macc": defined_mean(correct / np.maximum(actual, 1), actual > 0),
            "pixel_accuracy": np.where(pixels > 0, correct.sum(axis=1) / np.maximum(pixels, 1), -1.0),
        }


def pixel_counts(confusion: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the correct, predicted and actual pixels of each class, ``[3, K]``, of a confusion matrix."""
    matrix = np.asarray(confusion, np.int64)
    return np.stack([np.diagonal(matrix), matrix.sum(axis=0), matrix.sum(axis=1)])
