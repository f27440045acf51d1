"""Statistics of panoptic quality: matched segments of each class in each image.

Shapes: I images, B samples of images, K classes.
"""

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.base import defined_mean
from splitnest.metrics.statistics.class_counts import ClassCounts


class SegmentStatistics(ClassCounts):
    """Panoptic quality over any choice of images.

    Args:
        counts: Sum of matched IoUs, numbers of matches, false positives and false negatives; float64
            ``[I, 4, K]``.
    """

    kind, num_counts, dtype, score = "segments", 4, np.float64, "pq"

    def _metrics(self, sums: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics of sums ``[B, 4, K]``."""
        ious, matched, positives, negatives = (sums[:, row] for row in range(4))
        denominator = matched + 0.5 * (positives + negatives)
        occurs = denominator > 0
        values = {"pq": ious / np.maximum(denominator, 0.5), "sq": ious / np.maximum(matched, 1)}
        values["rq"] = matched / np.maximum(denominator, 0.5)
        return {name: defined_mean(each, occurs) for name, each in values.items()}
