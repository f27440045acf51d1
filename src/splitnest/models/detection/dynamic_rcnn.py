"""Dynamic R-CNN (Zhang et al. 2020): IoU threshold and smooth L1 beta that follow the proposals of the training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from splitnest.distributed import all_reduce_masked_mean, all_reduce_max, all_reduce_mean
from splitnest.models.detection.matcher import Matcher
from splitnest.models.detection.roi_heads import Features, RoIHeads
from splitnest.models.detection.roi_losses import SampledRegions
from splitnest.structures.instances import Instances

MIN_MEDIAN = 1e-15
"""Median of the recorded deltas under which beta stays as it is (mmdetection)."""


@dataclass(frozen=True)
class DynamicRules:
    """Rules of the adaptation.

    Attributes:
        interval: Number of forward passes between two adaptations.
        iou_topk: Rank of the IoU that is recorded of each image, among its proposals and ground-truth boxes.
        beta_topk: Rank per image of the center delta that is recorded of each batch, from the smallest.
        min_iou: Lower bound of the IoU threshold.
        max_beta: Upper bound of beta.
    """

    interval: int = 100
    iou_topk: int = 75
    beta_topk: int = 10
    min_iou: float = 0.4
    max_beta: float = 1.0


class DynamicHeads(RoIHeads):
    """Second stage whose IoU threshold and beta are adapted in training mode: mean and median of what was recorded.

    Args:
        args, kwargs: Arguments of ``RoIHeads``, with the smooth L1 loss.
        rules: Rules of the adaptation.
    """

    def __init__(self, *args: Any, rules: DynamicRules, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rules = rules
        self._ious: list[float] = []
        self._betas: list[float] = []

    def loss(
        self,
        features: Features,
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses with the present threshold and beta, which are adapted afterwards if it is time."""
        losses = super().loss(features, proposals, sizes, instances, seeds)
        if len(self._ious) >= self.rules.interval:
            self._adapt()
        return losses

    @torch.no_grad()
    def sample(
        self,
        stage: int,
        proposals: Sequence[Tensor],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None,
    ) -> list[SampledRegions]:
        """Return the sampled regions of each image, and record IoU and deltas in training mode."""
        sampler = self.samplers[stage]
        candidates = [sampler.match(*of_image) for of_image in zip(proposals, instances, strict=True)]
        seeds = seeds or [None] * len(instances)
        sampled = [sampler.choose(of_image, seed) for of_image, seed in zip(candidates, seeds, strict=True)]
        if self.training:
            self._record([of_image.iou for of_image in candidates], sampled, instances)
        return sampled

    def _record(
        self, ious: Sequence[Tensor], sampled: Sequence[SampledRegions], instances: Sequence[Instances]
    ) -> None:
        """Record IoU and deltas of a batch, averaged over processes."""
        of_images = [iou.topk(min(self.rules.iou_topk, len(iou))).values[-1] for iou in ious if len(iou)]
        self._ious.append(float(all_reduce_mean(torch.stack(of_images).mean() if of_images else torch.zeros(()))))
        shifts = torch.cat(
            [
                self.box_coders[0].encode(gt.boxes[s.gt_index], s.boxes[: len(s.gt_index)])[:, :2].abs().mean(1)
                for s, gt in zip(sampled, instances, strict=True)
            ]
        )
        rank = min(self.rules.beta_topk * len(instances), len(shifts))
        value = shifts.kthvalue(rank).values if rank else shifts.new_zeros(())
        if all_reduce_max(rank)[0]:
            self._betas.append(float(all_reduce_masked_mean(value, rank > 0)))

    def _adapt(self) -> None:
        iou, beta = max(self.rules.min_iou, fmean(self._ious)), self.regression_loss.beta
        if self._betas and median(self._betas) >= MIN_MEDIAN:
            beta = min(self.rules.max_beta, median(self._betas))
        self._set(iou, beta)
        self._ious, self._betas = [], []

    def _set(self, iou: float, beta: float) -> None:
        sampler = self.samplers[0]
        old = sampler.matcher
        low_quality = None if old.low_quality_iou is None else iou
        sampler.matcher = Matcher(iou, iou, low_quality, low_quality_reassign=old.low_quality_reassign)
        self.regression_loss = replace(self.regression_loss, beta=beta)

    def adapted(self) -> dict[str, Any]:
        """Return threshold, beta and what was recorded since their last adaptation."""
        state = {"iou": self.samplers[0].matcher.positive_iou, "beta": self.regression_loss.beta}
        return {**state, "ious": list(self._ious), "betas": list(self._betas)}

    def set_adapted(self, state: Mapping[str, Any]) -> None:
        """Restore what ``adapted`` returned."""
        self._set(state["iou"], state["beta"])
        self._ious, self._betas = list(state["ious"]), list(state["betas"])
