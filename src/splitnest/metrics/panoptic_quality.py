"""Panoptic quality (Kirillov et al. 2019, "Panoptic Segmentation"), equal to panopticapi.

Shapes: T segments of the ground truth, P predicted segments, K classes.
"""

import math

import numpy as np
from numpy.typing import NDArray

from splitnest.structures import PanopticSegmentation
from splitnest.structures.categories import Categories
from splitnest.structures.panoptic_labels import PanopticLabels

MATCH_IOU = 0.5
"""IoU above which two segments of one class match. A segment has at most one match, as segments do not overlap."""


class PanopticQuality:
    """Panoptic quality (PQ), segmentation quality (SQ) and recognition quality (RQ).

    Only IoUs and counts of each class are kept. Void and crowd regions are treated as in panopticapi ``evaluation.py``:
    void pixels of the ground truth are ignored in an IoU. A crowd region has no matches and is no false negative. An
    unmatched prediction is no false positive if more than half of its pixels are void or in a crowd region of its
    class; if a class has several crowd regions in an image, only the last one counts.

    Args:
        categories: Classes that the labels index.
    """

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self._ious: list[list[float]] = [
            [] for _ in categories
        ]  # of matches; their exact sum does not depend on the order
        self._false_negatives, self._false_positives = (np.zeros(len(categories), np.int64) for _ in range(2))

    def update(self, gt: PanopticLabels, result: PanopticSegmentation) -> None:
        """Add one image.

        Raises:
            ValueError: The sizes differ, or a label is not a class.
        """
        if gt.segments.shape != result.segments.shape:
            raise ValueError(f"segments have size {result.segments.shape}, but the ground truth {gt.segments.shape}")
        ids = np.array([row["id"] for row in result.segments_info], np.int64)
        labels = np.array([row["category"] for row in result.segments_info], np.int64)
        num_classes = len(self.categories)
        if max(gt.labels.max(initial=-1), labels.max(initial=-1)) >= num_classes:
            raise ValueError(f"there are labels outside the {num_classes} classes")
        intersections = _intersections(gt.segments, gt.ids, result.segments, ids)
        gt_areas, areas = intersections[1:].sum(axis=1), intersections[:, 1:].sum(axis=0)
        on_void, intersections = intersections[0, 1:], intersections[1:, 1:]  # [P], [T, P]

        unions = gt_areas[:, None] + areas - intersections - on_void
        same_class = gt.labels[:, None] == labels
        can_match = same_class & ~gt.iscrowd[:, None] & (intersections > 0)
        ious = np.divide(intersections, unions, out=np.zeros(intersections.shape), where=can_match)
        matched_gt, matched = np.nonzero(ious > MATCH_IOU)
        for label, iou in zip(labels[matched].tolist(), ious[matched_gt, matched].tolist(), strict=True):
            self._ious[label].append(iou)

        is_negative = ~gt.iscrowd
        is_negative[matched_gt] = False
        self._false_negatives += np.bincount(gt.labels[is_negative], minlength=num_classes)

        ignored = on_void.copy()
        for row in np.flatnonzero(gt.iscrowd).tolist():
            ignored[same_class[row]] = (on_void + intersections[row])[same_class[row]]
        is_positive = 2 * ignored <= areas
        is_positive[matched] = False
        self._false_positives += np.bincount(labels[is_positive], minlength=num_classes)

    def state(self) -> tuple[list[list[float]], NDArray[np.int64], NDArray[np.int64]]:
        """Return the IoUs of the matches, false negatives and false positives of each class."""
        return self._ious, self._false_negatives, self._false_positives

    def merge(self, state: tuple[list[list[float]], NDArray[np.int64], NDArray[np.int64]]) -> None:
        """Add other images."""
        ious, false_negatives, false_positives = state
        for own, others in zip(self._ious, ious, strict=True):
            own += others
        self._false_negatives += false_negatives
        self._false_positives += false_positives

    def counts(self) -> NDArray[np.float64]:
        """Return the sum of IoUs, and the numbers of matches, false positives and false negatives, ``[4, K]``."""
        matched = [len(ious) for ious in self._ious]
        sums = [math.fsum(ious) for ious in self._ious]
        return np.array([sums, matched, self._false_positives, self._false_negatives], np.float64)

    def compute(self) -> dict[str, float]:
        """Return ``pq``, ``sq`` and ``rq``, and those of things (``pq_things``, ...) and of stuff, from 0 to 1.

        Each is a mean over the classes that occur in ground truth or predictions; -1 without such classes. ``sq`` is
        the mean IoU of matches, ``rq`` the F1 score of recognition, and ``pq`` their product, class by class.
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
        """Return PQ, SQ and RQ of each class, ``[K]``, and whether each class occurs."""
        matched, iou_sums = np.array([(len(ious), math.fsum(ious)) for ious in self._ious]).reshape(-1, 2).T
        denominator = matched + 0.5 * (self._false_negatives + self._false_positives)
        sq = iou_sums / np.maximum(matched, 1)
        pq, rq = (counts / np.maximum(denominator, 0.5) for counts in (iou_sums, matched))
        return {"pq": pq, "sq": sq, "rq": rq}, denominator > 0


def _intersections(
    gt: NDArray[np.int32], gt_ids: NDArray[np.integer], result: NDArray[np.int32], ids: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Return the intersection in pixels of each pair of segments, ``[T + 1, P + 1]``; void, with id 0, is first."""
    rows, columns = _positions(gt, gt_ids), _positions(result, ids)
    size = len(gt_ids) + 1, len(ids) + 1
    return np.bincount((rows * size[1] + columns).ravel(), minlength=size[0] * size[1]).reshape(size)


def _positions(segments: NDArray[np.int32], ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return 1 + the position in ``ids`` of the id of each pixel, and 0 for void."""
    known = np.concatenate([[0], ids])
    order = np.argsort(known)
    return order[np.searchsorted(known, segments, sorter=order)]
