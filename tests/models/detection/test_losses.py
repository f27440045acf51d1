"""Matching, sampling and the losses of a detector."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.box_head import BoxHead
from splitnest.models.detection.box_losses import BoxLoss
from splitnest.models.detection.matcher import IGNORED, NEGATIVE, Matcher, sample
from splitnest.models.detection.roi_losses import (
    GroundTruthOrder,
    RegionSampler,
    SampledRegions,
    box_losses,
    mask_targets,
    region_targets,
    zero_loss,
)
from splitnest.models.detection.rpn import LevelPredictions
from splitnest.models.detection.rpn_loss import RPNLoss
from splitnest.structures.instances import Instances

CODER = BoxCoder(clamp_shrinkage=True)
NO_INSTANCES = Instances(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))


def test_without_ground_truth_everything_is_background() -> None:
    assert Matcher(0.7, 0.3, 0.0)(torch.zeros(0, 3)).tolist() == [NEGATIVE] * 3
    assert Matcher(0.7, 0.3, 0.0)(torch.zeros(2, 0)).tolist() == []


IOU = torch.tensor(
    [
        [0.80, 0.20, 0.50, 0.00, 0.71],
        [0.75, 0.10, 0.10, 0.00, 0.72],
        [0.00, 0.25, 0.00, 0.00, 0.00],
    ]
)


@pytest.mark.parametrize(
    ("low_quality", "reassign", "expected"),
    [
        (None, False, [0, NEGATIVE, IGNORED, NEGATIVE, 1]),
        (
            0.3,
            True,
            [1, NEGATIVE, IGNORED, NEGATIVE, 1],
        ),  # mmdetection: box 1 claims region 0, the best IoU of box 2 is too low
        (0.0, False, [0, 2, IGNORED, NEGATIVE, 1]),  # detectron2: region 1 is positive, region 0 stays with box 0
    ],
)
def test_low_quality_matches_by_convention(low_quality: float | None, reassign: bool, expected: list[int]) -> None:
    assert Matcher(0.7, 0.3, low_quality, low_quality_reassign=reassign)(IOU).tolist() == expected


def test_last_of_several_claims_counts() -> None:
    iou = torch.tensor([[0.5, 0.1], [0.5, 0.1]])
    assert Matcher(0.7, 0.3, 0.3, low_quality_reassign=True)(iou).tolist() == [1, NEGATIVE]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 32), st.floats(0, 1))
def test_sample_keeps_its_limits(num_positive: int, num_negative: int, num: int, fraction: float) -> None:
    matches = torch.tensor([0] * num_positive + [NEGATIVE] * num_negative + [IGNORED] * 5, dtype=torch.long)
    positives, negatives = sample(matches, num, fraction)
    assert len(positives) == min(num_positive, int(num * fraction))
    assert len(negatives) == min(num_negative, num - len(positives))
    assert (matches[positives] >= 0).all()
    assert (matches[negatives] == NEGATIVE).all()
    assert len({*positives.tolist(), *negatives.tolist()}) == len(positives) + len(negatives)


def rpn_loss(
    normalizer: str = "sampled",
    padding_divisor: int | None = None,
    low_quality_iou: float | None = None,
    ignore_crossing: bool = False,
) -> RPNLoss:
    return RPNLoss(
        CODER,
        Matcher(0.7, 0.3, low_quality_iou),
        num_samples=4,
        padding_divisor=padding_divisor,
        ignore_crossing=ignore_crossing,
        normalizer=normalizer,
        beta=0.0,
    )


ANCHORS = torch.tensor([[0.0, 0.0, 16.0, 16.0], [32.0, 32.0, 48.0, 48.0], [92.0, 0.0, 108.0, 16.0]])


def predictions(num_images: int) -> list[LevelPredictions]:
    zeros = torch.zeros(num_images, 3, requires_grad=True)
    return [LevelPredictions(zeros, torch.zeros(num_images, 3, 4, requires_grad=True), ANCHORS)]


@pytest.mark.parametrize(("normalizer", "divisor"), [("sampled", (1 + 2) + (1 + 3)), ("samples", 2 * 4)])
def test_rpn_loss_worked_by_hand(normalizer: str, divisor: int) -> None:
    """Logits of 0 cost log 2 each; the ground truth is the first anchor moved by 1.6 pixels, a tenth of its side."""
    instances = Instances(torch.tensor([[1.6, 0.0, 17.6, 16.0]]), torch.tensor([0]))
    losses = rpn_loss(normalizer)(predictions(2), [(64, 128), (64, 128)], [instances, NO_INSTANCES])
    assert losses["loss_rpn_cls"].item() == pytest.approx(6 * np.log(2) / divisor, rel=1e-6)
    assert losses["loss_rpn_box"].item() == pytest.approx(0.1 / divisor, rel=1e-5)


def test_anchors_in_padding_are_ignored_by_convention() -> None:
    """The third anchor is centered on x = 100: outside of 90 pixels padded to 96, inside of 128."""
    counts = []
    for divisor, width in ((None, 90), (32, 90), (32, 100)):
        loss = rpn_loss("samples", divisor)(predictions(1), [(64, width)], [NO_INSTANCES])["loss_rpn_cls"]
        counts.append(round(loss.item() * 4 / np.log(2)))
    assert counts == [3, 2, 3]


def test_anchors_that_cross_the_border_can_be_ignored() -> None:
    """An image of 107 pixels cuts the third anchor, which ends at 108."""
    sizes = {"inside": (64, 109), "touching": (64, 108), "cut": (64, 107)}
    losses = {
        name: rpn_loss("samples", ignore_crossing=True)(predictions(1), [size], [NO_INSTANCES])["loss_rpn_cls"].item()
        for name, size in sizes.items()
    }
    assert losses["inside"] == pytest.approx(3 * np.log(2) / 4, rel=1e-6)
    assert losses["touching"] == losses["cut"] == pytest.approx(2 * np.log(2) / 4, rel=1e-6)


def test_ignored_anchor_is_not_the_best_of_a_ground_truth_box() -> None:
    """The second anchor overlaps the box more but is ignored, so the first one is its best anchor."""
    instances = Instances(torch.tensor([[44.0, 0.0, 108.0, 16.0]]), torch.tensor([0]))
    anchors = torch.tensor([[30.0, 0.0, 46.0, 16.0], [92.0, 0.0, 108.0, 16.0]])
    zeros = [LevelPredictions(torch.zeros(1, 2), torch.zeros(1, 2, 4), anchors)]
    losses = rpn_loss("samples", ignore_crossing=True, low_quality_iou=0.0)(zeros, [(64, 100)], [instances])
    assert losses["loss_rpn_box"] > 0


@pytest.mark.parametrize("first", [True, False])
def test_ground_truth_boxes_are_proposals(first: bool) -> None:
    instances = Instances(torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]]), torch.tensor([3, 4]))
    sampler = RegionSampler(Matcher(0.5, 0.5), num_samples=100, gt_order="first" if first else "last")
    regions = sampler(torch.tensor([[0.0, 0.0, 10.0, 9.0], [50.0, 50.0, 60.0, 60.0]]), instances)
    # Two instances have the same box: each is matched to itself, or, like any proposal, to the first of the two.
    assert regions.gt_index.tolist() == ([0, 1, 0] if first else [0, 0, 0])
    assert len(regions.boxes) == 4
    assert regions.boxes[3].tolist() == [50, 50, 60, 60]
    assert regions.passed_on.tolist() == ([False, False, True, True] if first else [True] * 4)


def test_no_proposals_and_no_ground_truth() -> None:
    gt_orders: tuple[GroundTruthOrder, ...] = ("first", "last", "none")
    for gt_order in gt_orders:
        sampler = RegionSampler(Matcher(0.5, 0.5), num_samples=8, gt_order=gt_order)
        regions = sampler(torch.zeros(0, 4), NO_INSTANCES)
        assert regions.boxes.shape == (0, 4)
        assert regions.gt_index.shape == (0,)


def test_later_stages_can_use_every_region_without_ground_truth() -> None:
    instances = Instances(torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([3]))
    proposals = torch.tensor([[50.0, 50.0, 60.0, 60.0], [0.0, 0.0, 10.0, 9.0], [0.0, 0.0, 9.0, 10.0]])
    regions = RegionSampler(Matcher(0.6, 0.6), num_samples=None, gt_order="none")(proposals, instances)
    assert regions.boxes.tolist() == proposals[[1, 2, 0]].tolist()
    assert regions.gt_index.tolist() == [0, 0]


def test_box_losses_worked_by_hand() -> None:
    instances = Instances(torch.tensor([[1.0, 0.0, 11.0, 10.0]]), torch.tensor([1]))
    regions = SampledRegions(
        torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 9.0, 9.0]]), torch.tensor([0]), torch.ones(2)
    )
    deltas = torch.zeros(2, 8)
    deltas[0, 4] = 0.25  # the delta of the true class is off by 0.25 - 0.1; that of the other class is ignored
    deltas[0, 0] = 9.0
    targets = region_targets([regions], [instances], 2)
    losses = box_losses(torch.zeros(2, 3), deltas, targets, CODER, BoxLoss(), 2)
    assert losses["loss_cls"].item() == pytest.approx(np.log(3), rel=1e-6)
    assert losses["loss_box"].item() == pytest.approx(0.15 / 2, rel=1e-5)
    agnostic = box_losses(torch.zeros(2, 3), deltas[:, 4:], targets, CODER, BoxLoss(), 2)
    assert torch.equal(agnostic["loss_box"], losses["loss_box"])
    smooth = box_losses(torch.zeros(2, 3), deltas, targets, CODER, BoxLoss(beta=1.0, weight=3.0), 2)
    assert smooth["loss_box"].item() == pytest.approx(3 * 0.5 * 0.15**2 / 2, rel=1e-4)


def test_mask_targets_of_polygons_and_of_masks() -> None:
    """The left half of a region, as a polygon and as a mask."""
    polygon = [np.array([10.0, 0.0, 20.0, 0.0, 20.0, 20.0, 10.0, 20.0])]
    mask = torch.zeros(40, 40, dtype=torch.bool)
    mask[:20, 10:20] = True
    boxes = torch.tensor([[10.0, 0.0, 30.0, 20.0], [10.0, 0.0, 30.0, 20.0]])
    targets = mask_targets([polygon, mask], boxes, 28, 0.1)
    assert targets.shape == (2, 28, 28)
    assert (targets[1, :, :14] == 1).all()
    assert (targets[1, :, 14:] == 0).all()
    assert (targets[0] != targets[1]).float().mean() < 0.05  # COCO's rule may take one more column
    assert mask_targets([], torch.zeros(0, 4), 28, 0.1).shape == (0, 28, 28)


def test_zero_loss_reaches_every_parameter() -> None:
    head = BoxHead(4, 3, conv_channels=8, fc_channels=8)
    zero_loss(head).backward()
    assert all(p.grad is not None and (p.grad == 0).all() for p in head.parameters())
