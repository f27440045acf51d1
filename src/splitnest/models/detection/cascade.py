"""Cascade R-CNN (Cai and Vasconcelos 2018): box heads in a row, each on the boxes of the one before.

Shapes: R regions, S sampled regions of all images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splitnest.models.detection import box_head
from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.boxes import clip_to_image, nonempty
from splitnest.models.detection.roi_heads import Features, RoIHeads
from splitnest.models.detection.roi_losses import SampledRegions
from splitnest.structures.instances import Instances


@dataclass(frozen=True)
class CascadeRules:
    """Rules in which the code bases' cascades differ.

    Attributes:
        average: Quantity averaged over the stages: ``logits`` before softmax, or ``probabilities``.
        loss_weights: Weight of the losses of each stage.
        gradient_scale: Factor of the gradient of each stage with respect to its pooled features.
        drop_empty: Whether boxes without area are dropped between stages, in training.
    """

    average: str
    loss_weights: tuple[float, ...]
    gradient_scale: float
    drop_empty: bool


class CascadeHeads(RoIHeads):
    """Box heads in a cascade: boxes of the last head, scores averaged over all heads.

    A stage with class-specific boxes passes on those of the best class, in training those of the true class where a
    region has one, as in mmdetection.

    Mask head ``i`` trains on the positive regions of stage ``i``; there is one for each stage, one, or none.

    Args:
        args, kwargs: Arguments of ``RoIHeads``.
        rules: Rules of the code base.
    """

    def __init__(self, *args: Any, rules: CascadeRules, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rules = rules

    def probabilities(self, logits: Sequence[Tensor]) -> Tensor:
        """Return class probabilities ``[R, K + 1]``, background last, averaged over the stages."""
        if self.rules.average == "logits":
            return torch.stack(list(logits)).mean(0).softmax(1)
        return torch.stack([of_stage.softmax(1) for of_stage in logits]).mean(0)

    def loss(
        self,
        features: Features,
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return the weighted losses ``loss_cls_stage0``, ``loss_box_stage0``, ``loss_mask_stage0``, and so on."""
        losses: dict[str, Tensor] = {}
        for stage, weight in enumerate(self.rules.loss_weights):
            sampled = self.sample(stage, proposals, instances, seeds)
            scale = self.rules.gradient_scale
            of_stage, logits, deltas = self.box_loss(stage, features, sampled, instances, scale)
            if stage < len(self.mask_heads):
                of_stage |= self.mask_loss(stage, features, sampled, instances)
            losses |= {f"{name}_stage{stage}": weight * loss for name, loss in of_stage.items()}
            if deltas.shape[1] > 4:
                labels = _region_labels(logits, sampled, instances)
                deltas = box_head.of_class(deltas.unflatten(1, (-1, 4)), labels)
            proposals = self._refined(self.box_coders[stage], deltas, sampled, sizes)
        return losses

    @torch.no_grad()
    def _refined(
        self, coder: BoxCoder, deltas: Tensor, sampled: Sequence[SampledRegions], sizes: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        """Return the regions of each image that are passed to the next stage."""
        decoded = coder.decode(deltas, torch.cat([s.boxes for s in sampled])).split([len(s.boxes) for s in sampled])
        refined = [
            clip_to_image(boxes, size)[s.passed_on] for boxes, size, s in zip(decoded, sizes, sampled, strict=True)
        ]
        return [boxes[nonempty(boxes)] for boxes in refined] if self.rules.drop_empty else refined


def _region_labels(logits: Tensor, sampled: Sequence[SampledRegions], instances: Sequence[Instances]) -> Tensor:
    """Return the class of each region, int64 ``[S]``: the true one of positive regions, the best one of others."""
    labels = logits[:, :-1].argmax(1)
    start = 0
    for of_image, gt in zip(sampled, instances, strict=True):
        labels[start : start + len(of_image.gt_index)] = gt.labels[of_image.gt_index]
        start += len(of_image.boxes)
    return labels
