"""Prime sample attention: ranks, weights of positive and negative regions, and CARL, by plain loops."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_iou

from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.box_losses import BoxLoss
from splitnest.models.detection.matcher import Matcher
from splitnest.models.detection.pisa import PISAHeads, PISARules, hierarchical_rank, overlapping_groups
from splitnest.models.detection.roi_align import RoIPooler
from splitnest.models.detection.roi_losses import RegionSampler, region_targets
from splitnest.structures.instances import Instances

SIZE, NUM_CLASSES = (64, 96), 3
CODER = BoxCoder((0.1, 0.1, 0.2, 0.2), clamp_shrinkage=True)
INSTANCES = [
    Instances(torch.tensor([[4.0, 4.0, 36.0, 36.0], [50.0, 20.0, 90.0, 60.0]]).double(), torch.tensor([1, 1])),
    Instances(torch.tensor([[8.0, 8.0, 40.0, 40.0]]).double(), torch.tensor([2])),
]
NONE = Instances(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))


class LinearHead(nn.Module):
    """Box head of one linear layer each for logits and deltas."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(4 * 49, 5 * NUM_CLASSES + 1, generator=generator).double() / 10)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        hidden = pooled.flatten(1) @ self.weight
        return hidden[:, : NUM_CLASSES + 1], hidden[:, NUM_CLASSES + 1 :]


def heads(num_samples: int = 64, low: float = 0.4) -> PISAHeads:
    sampler = RegionSampler(Matcher(low, low), num_samples=num_samples, gt_order="first")
    pooler = RoIPooler(56.0, 0, 1e-6)
    return PISAHeads(pooler, [LinearHead()], [CODER], [sampler], box_loss=BoxLoss(beta=1.0), rules=PISARules())


def features(fill: float = 1.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    shapes = {f"p{n}": (2, 4, 64 >> n, 96 >> n) for n in range(2, 6)}
    return {name: fill * torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def proposals(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(2, count, 2, generator=generator, dtype=torch.float64) * torch.tensor([60.0, 30.0])
    return list(torch.cat((corners, corners + 20 + 14 * torch.rand(2, count, 2, generator=generator)), dim=2))


def test_rank_goes_over_the_groups() -> None:
    assert hierarchical_rank(torch.zeros(0), torch.zeros(0, dtype=torch.long)).tolist() == []
    values, groups = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.tensor([7, 7, 7, 2, 2])
    assert hierarchical_rank(values, groups).tolist() == [0, 2, 4, 1, 3]


def test_groups_are_those_of_nms() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 6.0], [0.0, 0.0, 10.0, 3.0], [5.0, 5.0, 5.0, 5.0]])
    groups = overlapping_groups(boxes, torch.tensor([0.5, 0.9, 0.8, 0.1]))
    assert groups[0] == groups[1] == groups[2]  # the second box, the best one, overlaps both others by half or more
    assert groups[3] != groups[0]
    assert overlapping_groups(boxes[:0], torch.zeros(0)).tolist() == []


def test_losses_without_regions_and_without_ground_truth() -> None:
    empty = heads().loss(features(), [torch.zeros(0, 4).double()] * 2, [SIZE] * 2, [NONE] * 2)
    assert {name: loss.item() for name, loss in empty.items()} == {"loss_cls": 0, "loss_box": 0, "loss_carl": 0}
    losses = heads().loss(features(), proposals(30), [SIZE] * 2, [NONE] * 2)
    assert losses["loss_cls"] > 0
    assert losses["loss_box"] == losses["loss_carl"] == 0


def test_positive_weights_and_carl_by_loops() -> None:
    """ISR-P as its paper describes it: IoU ranks within each ground-truth box, then over the boxes of a class."""
    second, maps, rules = heads(1000), features(), PISARules()
    sampled = [
        second._sample(maps, image, *of_image, 0)
        for image, of_image in enumerate(zip(proposals(60), INSTANCES, strict=True))
    ]
    losses, logits, deltas = second.box_loss(0, maps, sampled, INSTANCES)
    targets = region_targets(sampled, INSTANCES, NUM_CLASSES)
    labels, boxes = targets.labels[targets.positives], targets.gt_boxes.double()
    of_class = deltas.view(len(deltas), NUM_CLASSES, 4)[targets.positives, labels]
    iou = box_iou(CODER.decode(of_class, targets.boxes), boxes).diagonal().tolist()
    assert len(iou) > 8
    weights, most = [0.0] * len(iou), int(labels.bincount().max())
    for label in {*labels.tolist()}:
        of_label = [i for i, other in enumerate(labels.tolist()) if other == label]
        place = {}
        for i in of_label:
            place[i] = sum(iou[j] > iou[i] for j in of_label if targets.gt[j] == targets.gt[i])
        for rank, i in enumerate(sorted(of_label, key=lambda i: (place[i], -iou[i]))):
            weights[i] = ((most - rank) / most) ** 2
    entropy = F.cross_entropy(logits, targets.labels, reduction="none").detach()
    of_positives, scale = entropy[targets.positives], torch.tensor(weights).double()
    scale = scale * of_positives.sum() / (of_positives * scale).sum()
    assert targets.weights is not None
    every = targets.weights.clone()
    every[targets.positives] = scale
    assert losses["loss_cls"].item() == pytest.approx((entropy * every).sum().item() / len(entropy), rel=1e-9)
    assert losses["loss_cls"].item() == pytest.approx(entropy.mean().item(), rel=1e-9)  # both sums are kept
    scores = logits.softmax(1)[targets.positives, labels]
    carl = rules.carl_bias + (1 - rules.carl_bias) * scores
    each = BoxLoss(beta=1.0)(of_class, targets.boxes, boxes, CODER)
    expected = (each * carl * len(carl) / carl.sum()).sum() / len(entropy)
    assert losses["loss_carl"].item() == pytest.approx(expected.item(), rel=1e-9)
    assert losses["loss_box"].item() == pytest.approx(each.sum().item() / len(entropy), rel=1e-9)


@pytest.mark.parametrize("num_samples", [12, 40])
def test_negative_regions_are_those_of_the_highest_rank(num_samples: int) -> None:
    second, maps = heads(num_samples), features()
    (of_first, _), instances = proposals(50), INSTANCES[0]
    regions = second._sample(maps, 0, of_first, instances, 0)
    count = len(regions.boxes) - len(regions.gt_index)
    assert regions.weights is not None
    assert len(regions.weights) == count
    assert len(regions.boxes) == num_samples
    assert len(regions.gt_index) <= num_samples // 4
    weights = regions.weights.tolist()
    assert all(first >= second for first, second in pairwise(weights))
    assert (box_iou(regions.boxes[len(regions.gt_index) :], instances.boxes.double()) < 0.4).all()
    again = second._sample(maps, 0, of_first, instances, 0)
    assert torch.equal(again.boxes, regions.boxes)


def test_regions_without_a_score_are_drawn_at_random() -> None:
    """Without a class over 0.05 there is no rank; weights are 1 then."""
    second = heads(10)
    with torch.no_grad():
        second.box_heads[0].weight.zero_()
        second.box_heads[0].register_forward_hook(lambda _head, _inputs, outputs: (confident(outputs[0]), outputs[1]))
    regions = second._sample(features(), 0, proposals(50)[0], INSTANCES[0], 0)
    assert regions.weights is None
    assert len(regions.boxes) == 10


def confident(logits: Tensor) -> Tensor:
    """Return logits of the background."""
    return logits + 9 * F.one_hot(torch.full((len(logits),), NUM_CLASSES), NUM_CLASSES + 1)
