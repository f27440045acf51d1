"""Panoptic quality (Kirillov et al. 2019, "Panoptic Segmentation"), equal to panopticapi's.

T segments of the ground truth, F segments that were found, K classes.
"""

import math

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories
from splitnest.data.panoptic_labels import PanopticLabels
from splitnest.results import PanopticSegmentation

MATCH_IOU = 0.5
"""Segments of one class match over this IoU; more than one could not, as segments do not overlap."""


class PanopticEvaluator:
    """Collects, image by image, how well segments match; of an image only IoUs and counts by class are kept.

    The rules for void and crowds are those of panopticapi ``evaluation.py``. Pixels that are void in the ground truth
    do not count in an IoU. A crowd region matches nothing and is never missed. What matches nothing and lies with more
    than half its pixels on void and a crowd region of its class is no false positive; where a class has more than one
    crowd region in an image, the last one counts alone.

    Args:
        categories: What the labels of ground truth and segments index.
    """

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self._ious: list[list[float]] = [[] for _ in categories]  # of matches; summed exactly, whatever their order
        self._missed, self._wrong = (np.zeros(len(categories), np.int64) for _ in range(2))

    def update(self, truth: PanopticLabels, found: PanopticSegmentation) -> None:
        """Add one image.

        Raises:
            ValueError: The two are of different sizes, or a label is none of the categories.
        """
        if truth.segments.shape != found.segments.shape:
            raise ValueError(f"segments are of size {found.segments.shape}, their truth of {truth.segments.shape}")
        found_ids = np.array([row["id"] for row in found.segments_info], np.int64)
        found_labels = np.array([row["category"] for row in found.segments_info], np.int64)
        num_classes = len(self.categories)
        if max(truth.labels.max(initial=-1), found_labels.max(initial=-1)) >= num_classes:
            raise ValueError(f"there are labels besides the {num_classes} categories")
        shared = _shared_pixels(truth.segments, truth.ids, found.segments, found_ids)
        truth_areas, found_areas = shared[1:].sum(axis=1), shared[:, 1:].sum(axis=0)
        on_void, shared = shared[0, 1:], shared[1:, 1:]  # [F], [T, F]

        unions = truth_areas[:, None] + found_areas - shared - on_void
        same_class = truth.labels[:, None] == found_labels
        can_match = same_class & ~truth.iscrowd[:, None] & (shared > 0)
        ious = np.divide(shared, unions, out=np.zeros(shared.shape), where=can_match)
        true, positive = np.nonzero(ious > MATCH_IOU)
        for label, iou in zip(found_labels[positive].tolist(), ious[true, positive].tolist(), strict=True):
            self._ious[label].append(iou)

        is_missed = ~truth.iscrowd
        is_missed[true] = False
        self._missed += np.bincount(truth.labels[is_missed], minlength=num_classes)

        ignored = on_void.copy()
        for row in np.flatnonzero(truth.iscrowd).tolist():
            ignored[same_class[row]] = (on_void + shared[row])[same_class[row]]
        is_wrong = 2 * ignored <= found_areas
        is_wrong[positive] = False
        self._wrong += np.bincount(found_labels[is_wrong], minlength=num_classes)

    def state(self) -> tuple[list[list[float]], NDArray[np.int64], NDArray[np.int64]]:
        """Return the IoU of each match by class, and how many segments of each class were missed and wrong."""
        return self._ious, self._missed, self._wrong

    def merge(self, state: tuple[list[list[float]], NDArray[np.int64], NDArray[np.int64]]) -> None:
        """Add other images."""
        ious, missed, wrong = state
        for own, others in zip(self._ious, ious, strict=True):
            own += others
        self._missed += missed
        self._wrong += wrong

    def compute(self) -> dict[str, float]:
        """Return ``pq``, ``sq`` and ``rq``, the same of things (``pq_things``, ...) and of stuff, from 0 to 1.

        Each is a mean over the classes that occur in ground truth or segments; -1 where none does. ``sq`` is the mean
        IoU of matches, ``rq`` the F1 score of finding segments, and their product is ``pq``, class by class.
        """
        values, occurs = self._qualities()
        is_thing = np.array([category.is_thing for category in self.categories], bool)
        metrics = {}
        for suffix, kind in (("", np.ones_like(is_thing)), ("_things", is_thing), ("_stuff", ~is_thing)):
            for name, of_classes in values.items():
                counted = of_classes[kind & occurs]
                metrics[name + suffix] = float(counted.mean()) if len(counted) else -1.0
        return metrics

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``pq``, ``sq`` and ``rq`` of each class by its name; -1 for a class that does not occur."""
        values, occurs = self._qualities()
        return {
            category.name: {name: float(of_classes[k]) if occurs[k] else -1.0 for name, of_classes in values.items()}
            for k, category in enumerate(self.categories)
        }

    def _qualities(self) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
        """Return PQ, SQ and RQ of each class, [K], and which classes occur."""
        matched, iou_sums = np.array([(len(ious), math.fsum(ious)) for ious in self._ious]).reshape(-1, 2).T
        halves = matched + 0.5 * (self._missed + self._wrong)
        sq = iou_sums / np.maximum(matched, 1)
        pq, rq = (counts / np.maximum(halves, 0.5) for counts in (iou_sums, matched))
        return {"pq": pq, "sq": sq, "rq": rq}, halves > 0


def _shared_pixels(
    truth: NDArray[np.int32], truth_ids: NDArray[np.integer], found: NDArray[np.int32], found_ids: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Count the pixels that each two segments have in common, ``[T + 1, F + 1]``; void, whose number is 0, is first."""
    rows, columns = _positions(truth, truth_ids), _positions(found, found_ids)
    size = len(truth_ids) + 1, len(found_ids) + 1
    return np.bincount((rows * size[1] + columns).ravel(), minlength=size[0] * size[1]).reshape(size)


def _positions(segments: NDArray[np.int32], ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Replace each number by 1 + its position in ``ids``, and 0 by 0."""
    numbers = np.concatenate([[0], ids])
    order = np.argsort(numbers)
    return order[np.searchsorted(numbers, segments, sorter=order)]
