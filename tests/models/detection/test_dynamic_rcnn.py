"""Dynamic R-CNN: threshold and beta after an interval, in training only, and as part of a resumable state."""

from statistics import median

import pytest
import torch
from torch import Tensor, nn

from splitnest.models.adapted import adapted_values, set_adapted_values
from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.box_losses import BoxLoss
from splitnest.models.detection.dynamic_rcnn import DynamicHeads, DynamicRules
from splitnest.models.detection.matcher import Matcher
from splitnest.models.detection.roi_align import RoIPooler
from splitnest.models.detection.roi_losses import RegionSampler
from splitnest.structures.instances import Instances

SIZE = (64, 96)
CODER = BoxCoder((0.1, 0.1, 0.2, 0.2), clamp_shrinkage=True)
GT = Instances(torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.tensor([0]))
NONE = Instances(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))


class ZeroHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        return self.weight + pooled.new_zeros(len(pooled), 2), self.weight + pooled.new_zeros(len(pooled), 4)


def heads(interval: int = 2, iou_topk: int = 2, beta_topk: int = 2) -> DynamicHeads:
    sampler = RegionSampler(Matcher(0.5, 0.5, 0.5), num_samples=16, gt_order="first")
    rules = DynamicRules(interval=interval, iou_topk=iou_topk, beta_topk=beta_topk)
    loss = BoxLoss(beta=1.0)
    return DynamicHeads(RoIPooler(56.0, 0, 1e-6), [ZeroHead()], [CODER], [sampler], box_loss=loss, rules=rules)


def take(second: DynamicHeads, *shifts: float, gt: Instances = GT) -> dict[str, Tensor]:
    """Return the losses for the ground-truth box moved to the right by some numbers of pixels."""
    boxes = torch.tensor([[shift, 0.0, shift + 20, 20.0] for shift in shifts]).reshape(-1, 4)
    features = {f"p{n}": torch.zeros(1, 4, 64 >> n, 96 >> n) for n in range(2, 6)}
    return second.loss(features, [boxes], [SIZE], [gt])


def test_without_ground_truth_the_threshold_falls_to_its_bound_and_beta_stays() -> None:
    second = heads().train()
    for _ in range(2):
        take(second, gt=NONE)
    assert second.samplers[0].matcher.positive_iou == 0.4
    assert second.regression_loss.beta == 1.0


def test_threshold_is_the_mean_iou_and_beta_the_median_shift() -> None:
    """The second highest IoU is that of the first proposal, since the ground-truth box itself is the first."""
    second = heads().train()
    shifts = ((1.0, 4.0), (2.0, 6.0))
    take(second, *shifts[0])
    assert second.samplers[0].matcher.positive_iou == 0.5
    take(second, *shifts[1])
    iou = [(20 - shift) / (20 + shift) for shift, _ in shifts]
    matcher = second.samplers[0].matcher
    assert matcher.positive_iou == matcher.negative_iou == matcher.low_quality_iou == pytest.approx(sum(iou) / 2)
    # the ground-truth box has deltas of 0, the next smallest is that of the first proposal: shift / side / std, halved
    assert second.regression_loss.beta == pytest.approx(min(1.0, median(s[0] / 20 / 0.1 / 2 for s in shifts)))
    take(second, 1.0)
    assert len(second.adapted()["ious"]) == 1


def test_losses_without_training_mode_adapt_nothing() -> None:
    second = heads(interval=1).eval()
    take(second, 1.0)
    assert second.adapted() == {"iou": 0.5, "beta": 1.0, "ious": [], "betas": []}


def test_state_is_restored() -> None:
    first, second = nn.ModuleDict({"roi_heads": heads()}), nn.ModuleDict({"roi_heads": heads()})
    for shift in (1.0, 2.0, 3.0):
        take(first["roi_heads"].train(), shift, shift + 2)
    values = adapted_values(first)
    assert list(values) == ["roi_heads"]
    set_adapted_values(second, values)
    losses = [take(network["roi_heads"].train(), 4.0, 5.0) for network in (first, second)]
    assert losses[0] == losses[1]
    assert adapted_values(first) == adapted_values(second)
    assert adapted_values(nn.Linear(2, 2)) == {}
