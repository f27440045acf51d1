"""Losses of predicted boxes: smooth L1 of their deltas, and losses of the IoU of decoded boxes.

Shapes: R regions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.models.detection.box_coder import BoxCoder

MIN_IOU = 1e-6
"""Lower bound of the IoU in its logarithm (mmdetection)."""

BOUNDED_EPSILON, BOUNDED_BETA = 1e-3, 0.2
"""Constant added to denominators, and beta of the smooth L1 loss, of the bounded IoU loss (mmdetection)."""


@dataclass(frozen=True)
class BoxLoss:
    """Loss of the predicted box of each region.

    Attributes:
        kind: ``smooth_l1``, of deltas; or, of decoded boxes, ``iou``, ``giou``, ``diou``, ``ciou`` or ``bounded_iou``.
        beta: Beta of the smooth L1 loss; 0 for the L1 loss.
        weight: Weight of the loss.
    """

    kind: str = "smooth_l1"
    beta: float = 0.0
    weight: float = 1.0

    def __call__(self, deltas: Tensor, references: Tensor, gt_boxes: Tensor, coder: BoxCoder) -> Tensor:
        """Return the loss of each region, ``[R]``.

        Args:
            deltas: Predicted deltas, ``[R, 4]``.
            references: Boxes that they are relative to, ``[R, 4]``.
            gt_boxes: Ground-truth box of each region, ``[R, 4]``.
            coder: Box coder of the deltas.
        """
        if self.kind == "smooth_l1":
            targets = coder.encode(gt_boxes, references)
            losses = F.smooth_l1_loss(deltas, targets, reduction="none", beta=self.beta).sum(1)
        else:
            losses = _OF_BOXES[self.kind](coder.decode(deltas, references), gt_boxes.to(deltas.dtype))
        return self.weight * losses


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the IoU ``[R]`` of pairs of boxes, both ``[R, 4]``."""
    corners = torch.max(boxes[:, :2], others[:, :2]), torch.min(boxes[:, 2:], others[:, 2:])
    overlap = (corners[1] - corners[0]).clamp(min=0).prod(1)
    areas = [(b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, others)]
    return overlap / (areas[0] + areas[1] - overlap).clamp(min=MIN_IOU)


def iou_loss(boxes: Tensor, gt_boxes: Tensor) -> Tensor:
    """Return the negative logarithm of the IoU, ``[R]`` (Yu et al. 2016, UnitBox)."""
    return -paired_iou(boxes, gt_boxes).clamp(min=MIN_IOU).log()


def giou_loss(boxes: Tensor, gt_boxes: Tensor) -> Tensor:
    """Return 1 - GIoU, ``[R]`` (Rezatofighi et al. 2019)."""
    from torchvision.ops import generalized_box_iou_loss

    return generalized_box_iou_loss(boxes, gt_boxes)


def diou_loss(boxes: Tensor, gt_boxes: Tensor) -> Tensor:
    """Return 1 - DIoU, ``[R]`` (Zheng et al. 2019)."""
    from torchvision.ops import distance_box_iou_loss

    return distance_box_iou_loss(boxes, gt_boxes)


def ciou_loss(boxes: Tensor, gt_boxes: Tensor) -> Tensor:
    """Return 1 - CIoU, ``[R]`` (Zheng et al. 2020): DIoU and the aspect ratio, which counts from an IoU of 0.5.

    torchvision's loss of this name counts it from an IoU of 0, as detectron2 does.
    """
    angles = [torch.atan2(*(b[:, 2:] - b[:, :2]).unbind(1)) for b in (boxes, gt_boxes)]  # of width and height
    deviation = 4 / math.pi**2 * (angles[0] - angles[1]).square()
    with torch.no_grad():
        iou = paired_iou(boxes, gt_boxes)
        trade_off = torch.where(iou > 0.5, deviation / (1 - iou + deviation).clamp(min=MIN_IOU), 0.0)
    return diou_loss(boxes, gt_boxes) + trade_off * deviation


def bounded_iou_loss(boxes: Tensor, gt_boxes: Tensor) -> Tensor:
    """Return the bounded IoU loss, ``[R]`` (Tychsen-Smith and Petersson 2018).

    Each of center x, center y, width and height costs 1 minus the best IoU that it allows, smoothed near 0.
    """
    sides, gt_sides = boxes[:, 2:] - boxes[:, :2], gt_boxes[:, 2:] - gt_boxes[:, :2]
    shifts = (0.5 * (gt_boxes[:, :2] + gt_boxes[:, 2:] - boxes[:, :2] - boxes[:, 2:])).abs()
    of_shifts = ((gt_sides - 2 * shifts) / (gt_sides + 2 * shifts + BOUNDED_EPSILON)).clamp(min=0)
    of_sides = torch.min(gt_sides / (sides + BOUNDED_EPSILON), sides / (gt_sides + BOUNDED_EPSILON))
    costs = 1 - torch.cat((of_shifts, of_sides), dim=1)
    return torch.where(costs < BOUNDED_BETA, 0.5 / BOUNDED_BETA * costs.square(), costs - 0.5 * BOUNDED_BETA).sum(1)


_OF_BOXES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": iou_loss,
    "giou": giou_loss,
    "diou": diou_loss,
    "ciou": ciou_loss,
    "bounded_iou": bounded_iou_loss,
}
