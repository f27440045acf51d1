"""Statistics of mean IoU: pixels of each class in each image.

Shapes: I images, B samples of images, K classes.
"""

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.base import defined_mean
from splitnest.metrics.statistics.class_counts import ClassCounts


class PixelStatistics(ClassCounts):
    """Mean IoU over any choice of images.

    Args:
        counts: Pixels of each class that are correct, predicted, and in the ground truth; int64 ``[I, 3, K]``.
    """

    kind, num_counts, dtype, score = "pixels", 3, np.int64, "miou"

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
