"""Statistics of COCO's average precision: the matches of each image, which are not computed again.

Shapes: I images, B samples of images, N detections of a class, T thresholds.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.best_scores import best_thresholds
from splitnest.metrics.matches import Matches, f1_score
from splitnest.metrics.statistics.base import Arrays, ImageStatistics, defined_mean

RECALLS = np.linspace(0.0, 1.0, 101)
"""Recall points of COCO's interpolated precision (pycocotools ``Params``)."""

MAX_ELEMENTS = 2**22
"""Maximum size of an intermediate array."""

THRESHOLDS = {"ap": slice(None), "ap50": slice(0, 1), "ap75": slice(5, 6)}
"""Metric -> IoU or OKS thresholds, of 0.5 to 0.95 in steps of 0.05."""


class PrecisionStatistics(ImageStatistics):
    """Average precision over any choice of images.

    A sample takes the matched detections of its images, each as often as the image was drawn, sorts them by score, and
    interpolates precision as COCO does.

    Args:
        matches: Matches of all images.
        prefix: Beginning of the names of the metrics, such as ``box_``.
    """

    kind = "average_precision"

    def __init__(self, matches: Matches, prefix: str = "") -> None:
        self.matches, self.prefix = matches, prefix

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.matches.num_gt)

    def metrics(self, weights: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return ``ap``, ``ap50`` and ``ap75``, ``[B]``."""
        step = max(1, MAX_ELEMENTS // max(len(self.matches.scores), 1))
        parts = [self._precisions(weights[start : start + step]) for start in range(0, len(weights), step)]
        precisions = np.concatenate([np.zeros((0, *self._shape)), *parts])
        is_defined = precisions[:, 0] >= 0
        means = {
            name: defined_mean(precisions[:, thresholds].mean(axis=1), is_defined)
            for name, thresholds in THRESHOLDS.items()
        }
        return {self.prefix + name: values for name, values in means.items()}

    def image_scores(self) -> NDArray[np.float64]:
        """Return the F1 score of each image at the score threshold that is best for all images together, ``[I]``."""
        thresholds = best_thresholds(self.matches)
        overall = 0.5 if thresholds is None else thresholds.overall
        return f1_score(self.matches.counts(np.full(self._shape[1], overall)))

    def arrays(self) -> Arrays:
        """Return the matches as arrays."""
        return {**vars(self.matches), "prefix": np.array(self.prefix)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the statistics of ``arrays``."""
        fields = {name: arrays[name] for name in Matches.__dataclass_fields__}
        count, (num_images, num_classes) = len(fields["scores"]), fields["num_gt"].shape
        shape = (fields["is_matched"].shape[0], count)
        for name in ("rows", "images", "labels", "is_matched", "is_ignored"):
            expected = shape if name.startswith("is_") else (count,)
            if fields[name].shape != expected:
                raise ValueError(f"{name} has another shape")
        if count and (np.max(fields["images"]) >= num_images or np.max(fields["labels"]) >= num_classes):
            raise ValueError("an index is out of range")
        return cls(Matches(**fields), str(arrays["prefix"]))  # type: ignore[arg-type]

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.matches.is_matched), self.matches.num_gt.shape[1]

    def _precisions(self, weights: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return AP of each threshold and class, ``[B, T, K]``; -1 without instances."""
        matches, (num_thresholds, num_classes) = self.matches, self._shape
        precisions = np.full((len(weights), num_thresholds, num_classes), -1.0)
        for label in range(num_classes):
            num_gt = weights @ matches.num_gt[:, label]
            rows = np.flatnonzero(matches.labels == label)
            counts = weights[:, matches.images[rows]]
            has_gt = num_gt > 0
            for threshold in range(num_thresholds):
                is_matched, is_ignored = (each[threshold, rows] for each in (matches.is_matched, matches.is_ignored))
                ap = _interpolated(counts, is_matched & ~is_ignored, ~is_matched & ~is_ignored, num_gt)
                precisions[has_gt, threshold, label] = ap[has_gt]
        return precisions


def _interpolated(
    counts: NDArray[np.integer],
    is_correct: NDArray[np.bool_],
    is_wrong: NDArray[np.bool_],
    num_gt: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the mean of the interpolated precision over the recall points, ``[B]``.

    Args:
        counts: How often each detection is there, by falling score, ``[B, N]``.
        is_correct, is_wrong: bool ``[N]``.
        num_gt: Number of instances, ``[B]``.
    """
    correct, wrong = (np.cumsum(counts * rows, axis=1) for rows in (is_correct, is_wrong))
    total = correct + wrong
    precision = np.divide(correct, total, out=np.zeros(total.shape), where=total > 0)
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # at this recall or a higher one
    recall = correct / np.maximum(num_gt, 1)[:, None]
    reached = np.searchsorted(RECALLS, recall, side="right")  # number of recall points up to this recall
    return (np.diff(reached, axis=1, prepend=0) * highest).sum(axis=1) / len(RECALLS)
