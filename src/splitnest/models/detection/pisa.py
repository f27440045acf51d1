"""Prime sample attention (PISA, Cao et al. 2020): second stage that weighs its samples by their importance.

Shapes: R regions, S sampled regions of all images, S+ positive ones, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splitnest.models.detection import box_head
from splitnest.models.detection.box_losses import paired_iou
from splitnest.models.detection.matcher import NEGATIVE, choose, generator_of
from splitnest.models.detection.regions import Regions
from splitnest.models.detection.roi_heads import Features, RoIHeads
from splitnest.models.detection.roi_losses import (
    POSITIVE_FRACTION,
    Candidates,
    RegionTargets,
    SampledRegions,
    class_losses,
)
from splitnest.structures.instances import Instances

MIN_SCORE, GROUP_IOU = 0.05, 0.5
"""Score that a negative region must exceed to be ranked, and IoU from which two are of one group (mmdetection)."""

MIN_SUM = 1e-12
"""Lower bound of a sum of losses that is a divisor."""


@dataclass(frozen=True)
class PISARules:
    """Weights of samples, ``(bias + (1 - bias) * importance) ** power`` each.

    Attributes:
        positive_power, positive_bias: Class loss of positive regions (ISR-P), by the IoU of their predicted boxes.
        negative_power, negative_bias: Class loss of negative regions (ISR-N), by their highest class score.
        carl_power, carl_bias: Box loss of positive regions (CARL), by the score of their true class.
    """

    positive_power: float = 2.0
    positive_bias: float = 0.0
    negative_power: float = 0.5
    negative_bias: float = 0.0
    carl_power: float = 1.0
    carl_bias: float = 0.2


class PISAHeads(RoIHeads):
    """Second stage whose samples are weighted by hierarchical local rank, with a further box loss, ``loss_carl``.

    The sum of the class losses of positive regions, and that of the negative ones of an image, are as without weights.

    Args:
        args, kwargs: Arguments of ``RoIHeads``.
        rules: Weights of samples.
    """

    def __init__(self, *args: Any, rules: PISARules, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rules = rules

    def loss(
        self,
        features: Features,
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss_cls``, ``loss_box``, ``loss_carl`` and, with masks, ``loss_mask``."""
        of_images = zip(proposals, instances, seeds or [None] * len(instances), strict=True)
        sampled = [self._sample(features, image, *of_image) for image, of_image in enumerate(of_images)]
        losses, *_ = self.box_loss(0, features, sampled, instances)
        losses.setdefault("loss_carl", losses["loss_box"] * 0)  # of a batch without regions
        if self.mask_heads:
            losses |= self.mask_loss(0, features, sampled, instances)
        return losses

    @torch.no_grad()
    def _sample(
        self, features: Features, image: int, proposals: Tensor, gt: Instances, seed: int | None
    ) -> SampledRegions:
        """Return the sampled regions of an image: positive ones at random, negative ones by their rank (ISR-N)."""
        sampler = self.samplers[0]
        assert sampler.num_samples is not None
        candidates, generator = sampler.match(proposals, gt), generator_of(seed, proposals.device)
        positives = (candidates.matches >= 0).nonzero()[:, 0]
        positives = choose(positives, int(sampler.num_samples * POSITIVE_FRACTION), generator)
        count = sampler.num_samples - len(positives)
        negatives, weights = self._negatives(features, image, candidates, count, generator)
        return candidates.sampled(positives, negatives)._replace(weights=weights)

    def _negatives(
        self, features: Features, image: int, candidates: Candidates, count: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the indices of sampled negative candidates, and the weights of their class losses; None for 1.

        Those with a score are taken in the order of their rank, then others at random, with the lowest weight.
        """
        negatives = (candidates.matches == NEGATIVE).nonzero()[:, 0]
        count = min(count, len(negatives))
        if not count:
            return negatives[:0], None
        boxes = candidates.boxes[negatives]
        regions = Regions(boxes, torch.full((len(boxes),), image, device=boxes.device))
        logits, deltas = self.box_heads[0](self.pooler(features, regions, box_head.POOLED))
        scores, classes = logits.softmax(1)[:, :-1].max(1)
        scored, others = ((scores > MIN_SCORE) == is_scored for is_scored in (True, False))
        if not scored.any():
            return choose(negatives, count, generator), None
        by_class = deltas[scored].unflatten(1, (-1, 4))
        of_class = box_head.of_class(by_class, classes[scored]) if by_class.shape[1] > 1 else by_class[:, 0]
        predicted = self.box_coders[0].decode(of_class, boxes[scored])
        ranks = hierarchical_rank(scores[scored], overlapping_groups(predicted, scores[scored]))
        best = ranks.argsort()[:count]
        chosen = torch.cat((scored.nonzero()[best, 0], choose(others.nonzero()[:, 0], count - len(best), generator)))
        weights = importance(ranks[best].to(scores.dtype), max(count, len(ranks)))
        weights = torch.cat((weights, weights.min().expand(count - len(best))))
        weights = (self.rules.negative_bias + (1 - self.rules.negative_bias) * weights) ** self.rules.negative_power
        losses = class_losses(logits[chosen], classes.new_full((count,), logits.shape[1] - 1), self.class_loss)
        return negatives[chosen], _keeping_sum(weights, losses)

    def losses_of(
        self, stage: int, logits: Tensor, deltas: Tensor, targets: RegionTargets, divisor: Tensor | float
    ) -> dict[str, Tensor]:
        """Return the losses of the box head, with ``loss_carl``; arguments as in ``box_losses``."""
        of_class = targets.deltas_of_class(deltas)
        weights = logits.new_ones(len(logits)) if targets.weights is None else targets.weights.clone()
        weights[targets.positives] = self._positive_weights(logits.detach(), of_class.detach(), targets)
        losses = super().losses_of(stage, logits, deltas, targets._replace(weights=weights), divisor)
        of_boxes = self.regression_loss(of_class, targets.boxes, targets.gt_boxes, self.box_coders[stage])
        scores = logits.softmax(1)[targets.positives, targets.labels[targets.positives]]
        carl = (self.rules.carl_bias + (1 - self.rules.carl_bias) * scores) ** self.rules.carl_power
        mean = carl.mean() if len(carl) else carl.new_ones(())
        return losses | {"loss_carl": (of_boxes * carl / mean).sum() / divisor}

    def _positive_weights(self, logits: Tensor, deltas: Tensor, targets: RegionTargets) -> Tensor:
        """Return the weights ``[S+]`` of the class losses of positive regions (ISR-P).

        Args:
            logits: ``[S, K + 1]``.
            deltas: Deltas of the true class of positive regions, ``[S+, 4]``.
            targets: Targets of the regions.
        """
        labels = targets.labels[targets.positives]
        weights = deltas.new_ones(len(labels))
        if not len(labels):
            return weights
        boxes = self.box_coders[0].decode(deltas, targets.boxes)
        iou, most = paired_iou(boxes, targets.gt_boxes.to(boxes.dtype)), int(labels.bincount().max())
        for label in labels.unique().tolist():
            of_label = labels == label
            ranks = hierarchical_rank(iou[of_label], targets.gt[of_label])
            weights[of_label] = importance(ranks.to(weights.dtype), most)
        weights = (self.rules.positive_bias + (1 - self.rules.positive_bias) * weights) ** self.rules.positive_power
        losses = class_losses(logits[targets.positives], labels, self.class_loss)
        return _keeping_sum(weights, losses)


def _keeping_sum(weights: Tensor, losses: Tensor) -> Tensor:
    """Return weights scaled so that the sum of the losses stays the same."""
    return weights * losses.sum() / (losses * weights).sum().clamp(min=MIN_SUM)


def importance(ranks: Tensor, count: int) -> Tensor:
    """Return 1 for rank 0, and ``1 / count`` less for each rank after it."""
    return (count - ranks) / count


def hierarchical_rank(values: Tensor, groups: Tensor) -> Tensor:
    """Return the hierarchical local rank of each element, int64 ``[R]``, 0 for the first.

    The best of each group come first, then the second of each, and so on; each of these in order of their values.

    Args:
        values: ``[R]``.
        groups: Number of the group of each, int64 ``[R]``.
    """
    order = values.argsort(descending=True, stable=True)
    by_group = order[groups[order].argsort(stable=True)]
    grouped, places = groups[by_group], torch.arange(len(values), device=values.device)
    local, ranks = torch.empty_like(by_group), torch.empty_like(by_group)
    local[by_group] = places - torch.searchsorted(grouped, grouped)
    ranks[order[local[order].argsort(stable=True)]] = places
    return ranks


def overlapping_groups(boxes: Tensor, scores: Tensor) -> Tensor:
    """Return the group of each box, int64 ``[R]``: NMS, where the best box and those that it suppresses are a group.

    Args:
        boxes: ``[R, 4]``.
        scores: ``[R]``.
    """
    from torchvision.ops import box_iou

    order = scores.argsort(descending=True, stable=True)
    overlaps = box_iou(boxes[order], boxes[order]) >= GROUP_IOU
    groups = torch.full((len(boxes),), -1, device=boxes.device)
    for place in range(len(boxes)):
        if groups[place] < 0:
            groups[(groups < 0) & overlaps[place]] = place
            groups[place] = place  # a box without area overlaps nothing, itself included
    by_box = torch.empty_like(groups)
    by_box[order] = groups
    return by_box
