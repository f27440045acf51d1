"""Anchors, feature pyramid, proposals, pooling, heads, mask pasting."""

import pytest
import torch
from torch.nn import functional as F

from splitnest.models.detection.anchor_generator import AnchorGenerator
from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.box_head import BoxHead
from splitnest.models.detection.fpn import FPN
from splitnest.models.detection.mask_head import MaskHead, paste_masks
from splitnest.models.detection.regions import Regions
from splitnest.models.detection.roi_align import RoIPooler
from splitnest.models.detection.rpn import RPN, ProposalRules
from splitnest.recipe import DETECTRON2, MMDET, Conventions


def test_anchors_are_centered_on_cell_corners() -> None:
    anchors = AnchorGenerator().level(1, (2, 3), 8, like=torch.zeros(()))
    assert anchors.shape == (18, 4)
    assert anchors[1].tolist() == [-32, -32, 32, 32]
    assert torch.allclose(anchors[0], torch.tensor([-45.2548, -22.6274, 45.2548, 22.6274]))  # twice as wide as high
    assert (anchors[4] - anchors[1]).tolist() == [8, 0, 8, 0]
    assert (anchors[10] - anchors[1]).tolist() == [0, 8, 0, 8]


def features(channels: int = 8, size: tuple[int, int] = (64, 96)) -> dict[str, torch.Tensor]:
    shapes = [(-(-size[0] // s), -(-size[1] // s)) for s in (4, 8, 16, 32, 64)]
    return {f"p{i}": torch.randn(2, channels, *shape) for i, shape in enumerate(shapes, 2)}


def test_pyramid_of_odd_sizes() -> None:
    fpn = FPN({"c2": 4, "c3": 8, "c4": 16, "c5": 32}, 6)
    sizes = {"c2": (13, 17), "c3": (7, 9), "c4": (4, 5), "c5": (2, 3)}
    out = fpn({name: torch.randn(1, c, *sizes[name]) for name, c in {"c2": 4, "c3": 8, "c4": 16, "c5": 32}.items()})
    assert {name: tuple(level.shape[1:]) for name, level in out.items()} == {
        "p2": (6, 13, 17), "p3": (6, 7, 9), "p4": (6, 4, 5), "p5": (6, 2, 3), "p6": (6, 1, 2),
    }  # fmt: skip


@pytest.mark.parametrize("rank_by", ["logits", "scores"])
def test_proposals_are_sorted_and_inside_their_own_image(rank_by: str) -> None:
    coder = BoxCoder(clamp_shrinkage=True)
    rpn = RPN(8, AnchorGenerator(), coder, rank_by=rank_by)
    for boxes, scores in rpn.propose(rpn(features()), [(64, 96), (40, 50)], ProposalRules(50, 40)):
        assert len(boxes) == len(scores) <= 40
        assert (scores.diff() <= 0).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes[:, 2].max() <= 50
    assert boxes[:, 3].max() <= 40


@pytest.mark.parametrize("rules", [MMDET, DETECTRON2])
def test_levels_of_regions(rules: Conventions) -> None:
    pooler = RoIPooler(rules.canonical_box_size, rules.canonical_level, rules.level_epsilon)
    sides = torch.tensor([0.0, 10.0, 111.9, 112.0, 223.9, 224.0, 447.9, 448.0, 5000.0])
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), dim=1)
    assert pooler.assign(boxes).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert pooler.assign(torch.zeros(0, 4)).tolist() == []


def test_pooling_keeps_the_order_and_accepts_no_regions() -> None:
    pooler = RoIPooler(224, 4, 1e-8)
    constant = {name: torch.full_like(level, i) for i, (name, level) in enumerate(features().items())}
    boxes = [torch.tensor([[0.0, 0.0, 300.0, 300.0], [0.0, 0.0, 20.0, 20.0]]), torch.zeros(0, 4)]
    pooled = pooler(constant, Regions.from_list(boxes), 7)
    assert pooled.shape == (2, 8, 7, 7)
    assert pooled[1].unique().tolist() == [0]
    assert pooled[0].max() == 2
    assert pooler(constant, Regions.from_list([torch.zeros(0, 4), torch.zeros(0, 4)]), 7).shape == (0, 8, 7, 7)


@pytest.mark.parametrize(("num_convs", "num_fcs"), [(0, 2), (4, 1)])
def test_box_head(num_convs: int, num_fcs: int) -> None:
    head = BoxHead(8, 3, num_convs=num_convs, conv_channels=16, num_fcs=num_fcs, fc_channels=32).eval()
    for count in (0, 5):
        logits, deltas = head(torch.randn(count, 8, 7, 7))
        assert logits.shape == (count, 4)
        assert deltas.shape == (count, 12)
    assert BoxHead(8, 3, class_agnostic=True).deltas.out_features == 4


def test_mask_head_returns_the_given_class() -> None:
    head = MaskHead(8, 5, channels=8).eval()
    pooled, labels = torch.randn(3, 8, 14, 14), torch.tensor([4, 0, 2])
    everything = head.logits(F.relu(head.upsample(head.convs(pooled))))
    assert torch.allclose(head(pooled, labels), everything[range(3), labels], atol=1e-6)
    assert head(pooled[:0], labels[:0]).shape == (0, 28, 28)


def grid_sampled(probabilities: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return the definition of pasting: grid sampling at the center of every pixel of the image."""
    ys, xs = (torch.arange(side) + 0.5 for side in size)
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)
    gx, gy = (xs - x1) / (x2 - x1) * 2 - 1, (ys - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack(torch.broadcast_tensors(gx[:, None], gy[:, :, None]), dim=-1)
    return F.grid_sample(probabilities[:, None], grid, align_corners=False)[:, 0]


def test_pasting_equals_grid_sampling() -> None:
    size = (37, 53)
    corners = torch.rand(40, 2) * 60 - 15
    boxes = torch.cat((corners, corners + 0.3 + 40 * torch.rand(40, 2)), dim=1)
    probabilities = torch.rand(40, 28, 28)
    expected = grid_sampled(probabilities, boxes, size)
    clear = (expected - 0.5).abs() > 1e-5
    assert (paste_masks(probabilities, boxes, size).dense() == (expected >= 0.5))[clear].all()


def test_pasting_of_no_masks_and_empty_boxes() -> None:
    assert paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (5, 6)).dense().shape == (0, 5, 6)
    flat = torch.tensor([[2.0, 2.0, 2.0, 4.0]])
    assert not paste_masks(torch.ones(1, 28, 28), flat, (5, 6)).dense().any()


@pytest.mark.parametrize("num_convs", [1, 2])
def test_rpn_of_several_convolutions_can_be_trained(num_convs: int) -> None:
    anchors = AnchorGenerator((8.0,) * 5, (1.0,))
    rpn = RPN(4, anchors, BoxCoder(clamp_shrinkage=True), rank_by="scores", num_convs=num_convs)
    predictions = rpn({"p2": torch.randn(1, 4, 6, 8)})
    (predictions[0].logits.square().sum() + predictions[0].deltas.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in rpn.parameters())
