"""Non-maximum suppression (NMS): by class for detections, and as an operator of fixed output shape for export."""

import torch
from torch import Tensor


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
