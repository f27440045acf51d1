"""Non-maximum suppression (NMS): by class for detections, and as an operator of fixed output shape for export.

Shapes: R boxes.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

FIRST_CANDIDATES = 10_000
"""Number of candidates after which hard NMS stops if they leave enough detections."""


@dataclass(frozen=True)
class Suppression:
    """Suppression of boxes that overlap a better box of the same class.

    Attributes:
        kind: ``hard`` drops the worse of two overlapping boxes; ``linear`` and ``gaussian`` soft-NMS lower its score.
        iou_threshold: IoU above which a box is dropped, or from which ``linear`` lowers its score.
        sigma: Decay of ``gaussian``.
        min_score: Score under which soft-NMS drops a box.
    """

    kind: Literal["hard", "linear", "gaussian"] = "hard"
    iou_threshold: float = 0.5
    sigma: float = 0.5
    min_score: float = 1e-3

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Return the indices of the best remaining boxes, ``limit`` at most, and their scores in descending order.

        Args:
            boxes: ``[R, 4]``, xyxy.
            scores: ``[R]``.
            labels: int64 ``[R]``.
            limit: Maximum number of boxes.
        """
        if self.kind != "hard":
            kept, lowered = soft_nms(boxes, scores, labels, self)
            return kept[:limit], lowered[:limit]
        kept = _best_of_class_nms(boxes, scores, labels, self.iou_threshold, limit)
        return kept, scores[kept]


HARD_NMS = Suppression()
"""Suppression of nearly all published detectors."""


def _best_of_class_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float, limit: int) -> Tensor:
    """Return the first ``limit`` indices of ``class_nms``, which for many boxes needs only the best of them.

    Whether a box remains depends on better boxes alone. A score threshold near 0 leaves a million boxes.
    """
    number = FIRST_CANDIDATES
    if len(boxes) <= number:
        return class_nms(boxes, scores, labels, iou_threshold)[:limit]
    order = scores.argsort(descending=True, stable=True)
    while True:
        best = order[:number]
        kept = best[class_nms(boxes[best], scores[best], labels[best], iou_threshold)]
        if len(kept) >= limit or number >= len(boxes):
            return kept[:limit]
        number *= 2


def soft_nms(boxes: Tensor, scores: Tensor, labels: Tensor, rules: Suppression) -> tuple[Tensor, Tensor]:
    """Lower the scores of boxes that overlap a better box of the same class (soft-NMS, Bodla et al. 2017).

    Args:
        boxes: ``[R, 4]``, xyxy.
        scores: ``[R]``.
        labels: int64 ``[R]``.
        rules: Kind and parameters.

    Returns:
        Indices of the remaining boxes, and their scores in descending order.
    """
    found: list[tuple[Tensor, Tensor]] = [(labels[:0], scores[:0])]
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero()[:, 0]
        places, lowered = _soft_nms_of_class(boxes[rows].cpu(), scores[rows].cpu(), rules)
        found.append((rows[places.to(rows.device)], lowered.to(scores.device)))
    kept, lowered = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = lowered.argsort(descending=True, stable=True)
    return kept[order], lowered[order]


def _soft_nms_of_class(boxes: Tensor, scores: Tensor, rules: Suppression) -> tuple[Tensor, Tensor]:
    """Return indices and lowered scores of the boxes of one class, in the order in which they were chosen."""
    from torchvision.ops import box_iou

    places, chosen, lowered = torch.arange(len(boxes)), [], []
    while len(boxes):
        best = int(scores.argmax())
        chosen.append(places[best])
        lowered.append(scores[best])
        iou = box_iou(boxes[best : best + 1], boxes)[0]
        if rules.kind == "linear":
            weight = torch.where(iou >= rules.iou_threshold, 1 - iou, 1)
        else:
            weight = torch.exp(-(iou**2) / rules.sigma)
        scores = scores * weight
        left = scores >= rules.min_score
        left[best] = False
        boxes, scores, places = boxes[left], scores[left], places[left]
    return torch.stack(chosen), torch.stack(lowered)


def class_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Suppress boxes that overlap a better box of the same class.

    Boxes of different classes are shifted apart and suppressed together, in float64: in float32 the shift costs up to
    0.004 pixels at 80 classes.

    Args:
        boxes: ``[R, 4]``, xyxy.
        scores: ``[R]``.
        labels: int64 ``[R]``.
        iou_threshold: IoU above which the worse box is suppressed.

    Returns:
        Indices of the remaining boxes in descending order of their scores, int64.
    """
    from torchvision.ops import nms

    if not len(boxes):
        return labels
    shifted = boxes.double() + (labels * (boxes.max() - boxes.min() + 1).double())[:, None]
    return nms(shifted, scores.double(), iou_threshold)


@torch.library.custom_op("splitnest::nms_mask", mutates_args=())
def nms_mask(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float) -> Tensor:
    """Suppress boxes that overlap a better box of their group, as a mask whose shape does not depend on values.

    Args:
        boxes: ``[G, n, 4]``, xyxy: G groups of n boxes.
        scores: ``[G, n]``.
        iou_threshold: IoU above which the worse box is suppressed.
        score_threshold: Boxes whose score does not exceed it are ignored.

    Returns:
        Whether each box remains, bool ``[G, n]``.
    """
    from torchvision.ops import nms

    kept = torch.zeros_like(scores, dtype=torch.bool)
    for group in range(len(boxes)):
        chosen = (scores[group] > score_threshold).nonzero()[:, 0]
        kept[group, chosen[nms(boxes[group, chosen], scores[group, chosen], iou_threshold)]] = True
    return kept


@nms_mask.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)
