"""Losses of boxes, compared with the pairwise overlaps of torchvision and with values worked by hand."""

import math

import pytest
import torch
from torch import Tensor
from torchvision import ops

from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.box_losses import BoxLoss, bounded_iou_loss

CODER = BoxCoder((0.1, 0.1, 0.2, 0.2), clamp_shrinkage=True)
KINDS = ["smooth_l1", "iou", "giou", "diou", "ciou", "bounded_iou"]


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Return boxes that overlap much, little or not at all, and their counterparts."""
    generator = torch.Generator().manual_seed(0)
    corners = 40 * torch.rand(2, count, 2, generator=generator, dtype=torch.float64)
    sides = 5 + 30 * torch.rand(2, count, 2, generator=generator, dtype=torch.float64)
    first, second = torch.cat((corners, corners + sides), dim=2)
    second[::3] = first[::3] + torch.tensor([1.0, -0.5, 2.0, 0.5], dtype=torch.float64)
    return first, second


def loss_of(kind: str, boxes: Tensor, gt_boxes: Tensor) -> Tensor:
    """Return the losses of boxes that are given as deltas relative to other boxes."""
    references = gt_boxes + torch.tensor([1.0, 2.0, 4.0, 3.0], dtype=boxes.dtype)
    return BoxLoss(kind)(CODER.encode(boxes, references), references, gt_boxes, CODER)


@pytest.mark.parametrize("kind", KINDS)
def test_no_boxes_and_equal_boxes_cost_nothing(kind: str) -> None:
    none, (boxes, _) = torch.zeros(0, 4), pairs(5)
    assert BoxLoss(kind)(none, none, none, CODER).shape == (0,)
    # the constant in the denominators of the bounded loss leaves 1e-3 of a side at most, squared
    assert loss_of(kind, boxes, boxes).abs().max() < 1e-6


def test_iou_losses_are_those_of_pairwise_overlaps() -> None:
    boxes, gt_boxes = pairs(60)
    iou = ops.box_iou(boxes, gt_boxes).diagonal()
    assert (iou == 0).any()
    assert (iou > 0.5).any()
    expected = {
        "iou": -iou.clamp(min=1e-6).log(),
        "giou": 1 - ops.generalized_box_iou(boxes, gt_boxes).diagonal(),
        "diou": 1 - ops.distance_box_iou(boxes, gt_boxes).diagonal(),
        # as in mmdetection, the aspect ratio counts from an IoU of 0.5
        "ciou": 1
        - torch.where(
            iou > 0.5, ops.complete_box_iou(boxes, gt_boxes), ops.distance_box_iou(boxes, gt_boxes)
        ).diagonal(),
    }
    for kind, losses in expected.items():
        assert torch.allclose(loss_of(kind, boxes, gt_boxes), losses, rtol=1e-6, atol=1e-8), kind


def test_bounded_iou_loss_worked_by_hand() -> None:
    """Half as wide with the same center: the width costs 1 - 1/2, beyond beta; the rest costs nothing."""
    gt_boxes = torch.tensor([[0.0, 0.0, 1000.0, 1000.0]], dtype=torch.float64)
    narrow = torch.tensor([[250.0, 0.0, 750.0, 1000.0]], dtype=torch.float64)
    assert bounded_iou_loss(narrow, gt_boxes).item() == pytest.approx(0.5 - 0.1, rel=1e-5)
    moved = torch.tensor([[50.0, 0.0, 1050.0, 1000.0]], dtype=torch.float64)
    cost = 1 - (1000 - 100) / (1000 + 100)  # under beta
    assert bounded_iou_loss(moved, gt_boxes).item() == pytest.approx(0.5 * cost**2 / 0.2, rel=1e-5)
    far = torch.tensor([[9000.0, 0.0, 9500.0, 1000.0]], dtype=torch.float64)
    assert bounded_iou_loss(far, gt_boxes).item() == pytest.approx((1 - 0.1) + (0.5 - 0.1), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_falls_along_its_gradient(kind: str) -> None:
    boxes, gt_boxes = pairs(30)
    references = gt_boxes + 3
    deltas = CODER.encode(boxes, references).requires_grad_()
    loss = BoxLoss(kind, weight=10.0)(deltas, references, gt_boxes, CODER).sum()
    (gradient,) = torch.autograd.grad(loss, deltas)
    assert torch.isfinite(gradient).all()
    step = 1e-4 / gradient.norm()
    after = BoxLoss(kind, weight=10.0)(deltas - step * gradient, references, gt_boxes, CODER).sum()
    assert after.item() < loss.item() < math.inf


def test_weight_and_beta() -> None:
    boxes, gt_boxes = pairs(4)
    references = gt_boxes + 2
    deltas, target = CODER.encode(boxes, references), CODER.encode(gt_boxes, references)
    plain = BoxLoss()(deltas, references, gt_boxes, CODER)
    assert torch.allclose(plain, (deltas - target).abs().sum(1))
    weighted = BoxLoss(beta=2.0, weight=3.0)(deltas, references, gt_boxes, CODER)
    smooth = torch.nn.functional.smooth_l1_loss(deltas, target, beta=2.0, reduction="none").sum(1)
    assert torch.allclose(weighted, 3 * smooth)
