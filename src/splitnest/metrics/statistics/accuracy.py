"""Statistics of top-1 and top-5 accuracy.

Shapes: I images, B samples of images, K classes.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.base import Arrays, ImageStatistics, defined_mean


class AccuracyStatistics(ImageStatistics):
    """Accuracy over any choice of images.

    Args:
        labels: Class of each image, int64 ``[I]``.
        is_correct: Whether each of the most probable classes is that of the image, bool ``[I, 5]`` or fewer.
        probabilities: Probability of the class of the image, ``[I]``.
        has_top5: Whether there are more classes than most probable ones.
    """

    kind = "accuracy"

    def __init__(
        self,
        labels: NDArray[np.int64],
        is_correct: NDArray[np.bool_],
        probabilities: NDArray[np.floating],
        has_top5: bool,
    ) -> None:
        self.labels, self.is_correct, self.probabilities, self.has_top5 = labels, is_correct, probabilities, has_top5

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.labels)

    def of(self, images: NDArray[np.integer]) -> Self:
        """Return the statistics of some images."""
        return type(self)(self.labels[images], self.is_correct[images], self.probabilities[images], self.has_top5)

    def metrics(self, weights: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return ``top1``, ``top5`` and ``mean_class_top1``, ``[B]``."""
        total = weights.sum(axis=1)
        names = {"top1": self.is_correct[:, :1], **({"top5": self.is_correct} if self.has_top5 else {})}
        values = {
            name: np.where(total > 0, weights @ rows.any(axis=1) / np.maximum(total, 1), -1.0)
            for name, rows in names.items()
        }
        order = np.argsort(self.labels, kind="stable")
        _, starts = np.unique(self.labels[order], return_index=True)
        counts = np.add.reduceat(weights[:, order], starts, axis=1)
        correct = np.add.reduceat((weights * self.is_correct[:, 0])[:, order], starts, axis=1)
        return values | {"mean_class_top1": defined_mean(correct / np.maximum(counts, 1), counts > 0)}

    def image_scores(self) -> NDArray[np.float64]:
        """Return the probability of the class of each image, ``[I]``."""
        return np.asarray(self.probabilities, np.float64)

    def arrays(self) -> Arrays:
        """Return everything as arrays."""
        return {
            "labels": self.labels,
            "is_correct": self.is_correct,
            "probabilities": self.probabilities,
            "has_top5": np.array(self.has_top5),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the statistics of ``arrays``."""
        labels, is_correct, probabilities = (arrays[name] for name in ("labels", "is_correct", "probabilities"))
        if not len(labels) == len(is_correct) == len(probabilities) or is_correct.ndim != 2:
            raise ValueError("arrays have other shapes")
        return cls(
            np.asarray(labels, np.int64),
            np.asarray(is_correct, bool),
            np.asarray(probabilities, np.float64),
            bool(arrays["has_top5"]),
        )
