"""Cascade heads, their averages and losses, one convention at a time."""

import pytest
import torch
from torch import Tensor, nn

from splitnest.batch import Instances
from splitnest.detection.boxes import DeltaCoder
from splitnest.detection.cascade import CascadeHeads, CascadeRules
from splitnest.detection.matching import Matcher
from splitnest.detection.roi_align import RoIPooler
from splitnest.detection.roi_loss import GroundTruth, RegionSampler

SIZE = (64, 96)
SHIFT = 0.1
PROPOSALS = torch.tensor([[8.0, 8.0, 40.0, 40.0], [50.0, 20.0, 90.0, 60.0]])
OBJECTS = Instances(torch.tensor([[10.0, 8.0, 42.0, 40.0]]), torch.tensor([1]))
NO_OBJECTS = Instances(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))


class ConstantHead(nn.Module):
    """Gives every region the same logits and moves its box to the right by a tenth of its width."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.logits + 0 * pooled.mean((1, 2, 3))[:, None]
        return logits, torch.tensor([SHIFT, 0, 0, 0]).expand(len(pooled), 4) + pooled.mean((1, 2, 3))[:, None]


def heads(
    truths: tuple[GroundTruth, ...] = ("last", "none", "none"),
    average: str = "probabilities",
    weights: tuple[float, ...] = (1.0, 1.0, 1.0),
    gradient: float = 1.0,
    drops_empty: bool = True,
) -> CascadeHeads:
    return CascadeHeads(
        RoIPooler(224.0, 4, 1e-8),
        [ConstantHead([0.0, 1.0, 2.0]), ConstantHead([0.0, 4.0, 0.0]), ConstantHead([3.0, 0.0, 1.0])],
        [DeltaCoder(clamp_shrinkage=False)] * 3,
        [
            RegionSampler(Matcher(iou, iou), num_samples=None, ground_truth=truth)
            for iou, truth in zip((0.5, 0.6, 0.7), truths, strict=True)
        ],
        rules=CascadeRules(average, weights, gradient, drops_empty),
    )


def levels(fill: float = 0.0) -> dict[str, Tensor]:
    return {f"p{n}": torch.full((1, 4, 64 >> n, 96 >> n), fill, requires_grad=True) for n in range(2, 6)}


def test_no_proposals() -> None:
    (found,) = heads().score(levels(), [torch.zeros(0, 4)], [SIZE])
    assert (found.boxes.shape, found.scores.shape) == ((0, 1, 4), (0, 2))
    losses = heads().loss(levels(), [torch.zeros(0, 4)], [SIZE], [NO_OBJECTS])
    assert len(losses) == 6
    assert all(loss.item() == 0 for loss in losses.values())


def test_boxes_are_refined_in_turn_and_clipped_between() -> None:
    (found,) = heads().score(levels(), [PROPOSALS], [SIZE])
    moved = PROPOSALS[0] + torch.tensor([3 * SHIFT * 32, 0, 3 * SHIFT * 32, 0])
    assert torch.allclose(found.boxes[0, 0], moved)
    x1, x2 = 50.0, 90.0
    for _ in range(3):
        x1, x2 = x1 + SHIFT * (x2 - x1), min(x2 + SHIFT * (x2 - x1), 96.0)
    assert torch.allclose(found.boxes[1, 0], torch.tensor([x1, 20, x2, 60]))


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_scores_are_the_average_of_the_stages(average: str) -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [0.0, 4.0, 0.0], [3.0, 0.0, 1.0]])
    expected = logits.mean(0).softmax(0) if average == "logits" else logits.softmax(1).mean(0)
    (found,) = heads(average=average).score(levels(), [PROPOSALS], [SIZE])
    assert torch.allclose(found.scores, expected[:2].expand(2, 2))


def test_losses_are_weighted_by_stage() -> None:
    plain = heads().loss(levels(), [PROPOSALS], [SIZE], [OBJECTS])
    weighted = heads(weights=(1.0, 0.5, 0.25)).loss(levels(), [PROPOSALS], [SIZE], [OBJECTS])
    assert list(plain) == [f"loss_{kind}_stage{stage}" for stage in range(3) for kind in ("cls", "box")]
    for name, loss in plain.items():
        assert weighted[name].item() == pytest.approx(loss.item() * 0.5 ** int(name[-1]), rel=1e-6)


def test_what_takes_part_in_each_stage() -> None:
    """By hand. Each stage moves every box by 3.2 pixels.

    The IoU of the first proposal is 0.88, 0.93 and 0.76: positive in all stages. The object's own box, which is a
    proposal as any other in detectron2, has 1, 0.82 and 0.67: not in the third. In mmdetection it is new in each stage.
    """
    log = torch.log_softmax(torch.tensor([[0.0, 1.0, 2.0], [0.0, 4.0, 0.0], [3.0, 0.0, 1.0]]), 1)
    positive, negative = -log[:, 1], -log[:, 2]
    losses = heads().loss(levels(), [PROPOSALS], [SIZE], [OBJECTS])
    expected = [
        (2 * positive[0] + negative[0]) / 3,
        (2 * positive[1] + negative[1]) / 3,
        (positive[2] + 2 * negative[2]) / 3,
    ]
    assert [losses[f"loss_cls_stage{n}"].item() for n in range(3)] == pytest.approx([e.item() for e in expected])
    losses = heads(truths=("first", "first", "first")).loss(levels(), [PROPOSALS], [SIZE], [OBJECTS])
    expected = [(2 * positive[n] + negative[n]) / 3 for n in range(3)]
    assert [losses[f"loss_cls_stage{n}"].item() for n in range(3)] == pytest.approx([e.item() for e in expected])


def test_gradient_into_the_regions_is_scaled_and_that_of_the_heads_is_not() -> None:
    def gradients(share: float) -> tuple[Tensor, Tensor]:
        pyramid, parts = levels(0.01), heads(gradient=share)
        torch.stack(list(parts.loss(pyramid, [PROPOSALS], [SIZE], [OBJECTS]).values())).sum().backward()
        of_heads = torch.stack([p.grad for p in parts.parameters() if p.grad is not None])
        assert pyramid["p2"].grad is not None
        return pyramid["p2"].grad, of_heads

    (whole, heads_whole), (third, heads_third) = gradients(1.0), gradients(1 / 3)
    assert whole.abs().sum() > 0
    assert torch.allclose(third, whole / 3)
    assert torch.equal(heads_third, heads_whole)


def test_empty_boxes_stay_or_go_by_convention() -> None:
    """A proposal right of the image is clipped to nothing after the first stage."""
    proposals = torch.tensor([[90.0, 10.0, 96.0, 30.0], [95.9, 10.0, 96.0, 30.0]])
    outside = Instances(torch.tensor([[10.0, 8.0, 42.0, 40.0]]), torch.tensor([0]))
    far = torch.full((1, 4, 16, 24), 100.0, requires_grad=True)  # a delta of 100: far to the right
    pyramid = {**levels(), "p2": far}
    kept = heads(("none",) * 3, drops_empty=False).loss(pyramid, [proposals], [SIZE], [outside])
    dropped = heads(("none",) * 3, drops_empty=True).loss(pyramid, [proposals], [SIZE], [outside])
    assert kept["loss_cls_stage1"] > 0
    assert dropped["loss_cls_stage1"] == 0
