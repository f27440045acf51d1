"""Statistics of panoptic quality: matched segments of each class in each image.

Shapes: I images, B samples of images, K classes.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.base import Arrays, ImageStatistics, defined_mean


class SegmentStatistics(ImageStatistics):
    """Panoptic quality over any choice of images.

    Args:
        counts: Sum of the IoUs of the matches, number of matches, of false positives and of false negatives; float64
            ``[I, 4, K]``.
    """

    kind = "segments"

    def __init__(self, counts: NDArray[np.float64]) -> None:
        self.counts = counts

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.counts)

    def metrics(self, weights: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return ``pq``, ``sq`` and ``rq``, ``[B]``."""
        return self._metrics(np.tensordot(weights, self.counts, axes=1))

    def image_scores(self) -> NDArray[np.float64]:
        """Return the panoptic quality of each image, ``[I]``."""
        values = self._metrics(self.counts)["pq"]
        return np.where(values < 0, np.nan, values)

    def arrays(self) -> Arrays:
        """Return the counts."""
        return {"counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the statistics of ``arrays``."""
        counts = np.asarray(arrays["counts"], np.float64)
        if counts.ndim != 3 or counts.shape[1] != 4:
            raise ValueError("counts has another shape")
        return cls(counts)

    def _metrics(self, sums: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics of sums ``[B, 4, K]``."""
        ious, matched, positives, negatives = (sums[:, row] for row in range(4))
        denominator = matched + 0.5 * (positives + negatives)
        occurs = denominator > 0
        values = {"pq": ious / np.maximum(denominator, 0.5), "sq": ious / np.maximum(matched, 1)}
        values["rq"] = matched / np.maximum(denominator, 0.5)
        return {name: defined_mean(each, occurs) for name, each in values.items()}
