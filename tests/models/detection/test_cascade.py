"""Cascade heads: refined boxes, averaged scores and losses, one convention at a time."""

import pytest
import torch
from torch import Tensor, nn

from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.cascade import CascadeHeads, CascadeRules
from splitnest.models.detection.matcher import Matcher
from splitnest.models.detection.regions import Regions
from splitnest.models.detection.roi_align import RoIPooler
from splitnest.models.detection.roi_heads import Scored
from splitnest.models.detection.roi_losses import GroundTruthOrder, RegionSampler
from splitnest.structures.instances import Instances

SIZE = (64, 96)
SHIFT = 0.1
PROPOSALS = torch.tensor([[8.0, 8.0, 40.0, 40.0], [50.0, 20.0, 90.0, 60.0]])
INSTANCES = Instances(torch.tensor([[10.0, 8.0, 42.0, 40.0]]), torch.tensor([1]))
NO_INSTANCES = Instances(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))


class ConstantHead(nn.Module):
    """Box head that gives every region the same logits and moves its box to the right by a tenth of its width."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.logits + 0 * pooled.mean((1, 2, 3))[:, None]
        return logits, torch.tensor([SHIFT, 0, 0, 0]).expand(len(pooled), 4) + pooled.mean((1, 2, 3))[:, None]


def heads(
    gt_orders: tuple[GroundTruthOrder, ...] = ("last", "none", "none"),
    average: str = "probabilities",
    loss_weights: tuple[float, ...] = (1.0, 1.0, 1.0),
    gradient_scale: float = 1.0,
    drop_empty: bool = True,
) -> CascadeHeads:
    return CascadeHeads(
        RoIPooler(224.0, 4, 1e-8),
        [ConstantHead([0.0, 1.0, 2.0]), ConstantHead([0.0, 4.0, 0.0]), ConstantHead([3.0, 0.0, 1.0])],
        [BoxCoder(clamp_shrinkage=False)] * 3,
        [
            RegionSampler(Matcher(iou, iou), num_samples=None, gt_order=gt_order)
            for iou, gt_order in zip((0.5, 0.6, 0.7), gt_orders, strict=True)
        ],
        rules=CascadeRules(average, loss_weights, gradient_scale, drop_empty),
    )


def features(fill: float = 0.0) -> dict[str, Tensor]:
    return {f"p{n}": torch.full((1, 4, 64 >> n, 96 >> n), fill, requires_grad=True) for n in range(2, 6)}


def score(proposals: Tensor, average: str = "probabilities") -> Scored:
    return heads(average=average).score(features(), Regions.from_list([proposals]), torch.tensor([SIZE]))


def test_no_proposals() -> None:
    scored = score(torch.zeros(0, 4))
    assert (scored.boxes.shape, scored.scores.shape) == ((0, 1, 4), (0, 2))
    losses = heads().loss(features(), [torch.zeros(0, 4)], [SIZE], [NO_INSTANCES])
    assert len(losses) == 6
    assert all(loss.item() == 0 for loss in losses.values())


def test_boxes_are_refined_stage_by_stage_and_clipped_between() -> None:
    scored = score(PROPOSALS)
    moved = PROPOSALS[0] + torch.tensor([3 * SHIFT * 32, 0, 3 * SHIFT * 32, 0])
    assert torch.allclose(scored.boxes[0, 0], moved)
    x1, x2 = 50.0, 90.0
    for _ in range(3):
        x1, x2 = x1 + SHIFT * (x2 - x1), min(x2 + SHIFT * (x2 - x1), 96.0)
    assert torch.allclose(scored.boxes[1, 0], torch.tensor([x1, 20, x2, 60]))


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_scores_are_the_average_of_the_stages(average: str) -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [0.0, 4.0, 0.0], [3.0, 0.0, 1.0]])
    expected = logits.mean(0).softmax(0) if average == "logits" else logits.softmax(1).mean(0)
    scored = score(PROPOSALS, average)
    assert torch.allclose(scored.scores, expected[:2].expand(2, 2))


def test_losses_are_weighted_by_stage() -> None:
    plain = heads().loss(features(), [PROPOSALS], [SIZE], [INSTANCES])
    weighted = heads(loss_weights=(1.0, 0.5, 0.25)).loss(features(), [PROPOSALS], [SIZE], [INSTANCES])
    assert list(plain) == [f"loss_{kind}_stage{stage}" for stage in range(3) for kind in ("cls", "box")]
    for name, loss in plain.items():
        assert weighted[name].item() == pytest.approx(loss.item() * 0.5 ** int(name[-1]), rel=1e-6)


def test_regions_of_each_stage() -> None:
    """Worked by hand: each stage moves every box by 3.2 pixels.

    The first proposal has an IoU of 0.88, 0.93 and 0.76: positive in all stages. The ground-truth box, which is a
    proposal like any other in detectron2, has 1, 0.82 and 0.67: not positive in the third stage. In mmdetection it is
    added anew in each stage.
    """
    log = torch.log_softmax(torch.tensor([[0.0, 1.0, 2.0], [0.0, 4.0, 0.0], [3.0, 0.0, 1.0]]), 1)
    positive, negative = -log[:, 1], -log[:, 2]
    losses = heads().loss(features(), [PROPOSALS], [SIZE], [INSTANCES])
    expected = [
        (2 * positive[0] + negative[0]) / 3,
        (2 * positive[1] + negative[1]) / 3,
        (positive[2] + 2 * negative[2]) / 3,
    ]
    assert [losses[f"loss_cls_stage{n}"].item() for n in range(3)] == pytest.approx([e.item() for e in expected])
    losses = heads(gt_orders=("first", "first", "first")).loss(features(), [PROPOSALS], [SIZE], [INSTANCES])
    expected = [(2 * positive[n] + negative[n]) / 3 for n in range(3)]
    assert [losses[f"loss_cls_stage{n}"].item() for n in range(3)] == pytest.approx([e.item() for e in expected])


def test_gradient_of_pooled_features_is_scaled_and_that_of_heads_is_not() -> None:
    def gradients(scale: float) -> tuple[Tensor, Tensor]:
        pyramid, parts = features(0.01), heads(gradient_scale=scale)
        torch.stack(list(parts.loss(pyramid, [PROPOSALS], [SIZE], [INSTANCES]).values())).sum().backward()
        of_heads = torch.stack([p.grad for p in parts.parameters() if p.grad is not None])
        assert pyramid["p2"].grad is not None
        return pyramid["p2"].grad, of_heads

    (full, heads_full), (third, heads_third) = gradients(1.0), gradients(1 / 3)
    assert full.abs().sum() > 0
    assert torch.allclose(third, full / 3)
    assert torch.equal(heads_third, heads_full)


def test_empty_boxes_are_dropped_by_convention() -> None:
    """A proposal right of the image is clipped to nothing after the first stage."""
    proposals = torch.tensor([[90.0, 10.0, 96.0, 30.0], [95.9, 10.0, 96.0, 30.0]])
    outside = Instances(torch.tensor([[10.0, 8.0, 42.0, 40.0]]), torch.tensor([0]))
    far = torch.full((1, 4, 16, 24), 100.0, requires_grad=True)  # deltas of 100 move boxes far to the right
    pyramid = {**features(), "p2": far}
    kept = heads(("none",) * 3, drop_empty=False).loss(pyramid, [proposals], [SIZE], [outside])
    dropped = heads(("none",) * 3, drop_empty=True).loss(pyramid, [proposals], [SIZE], [outside])
    assert kept["loss_cls_stage1"] > 0
    assert dropped["loss_cls_stage1"] == 0
