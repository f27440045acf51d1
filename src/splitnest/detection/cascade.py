"""Cascade R-CNN (Cai and Vasconcelos 2018): box heads in a row, each on the boxes that the one before gave.

Shapes: P proposals of an image, S regions of all images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from splitnest.batch import Instances
from splitnest.detection import box_head
from splitnest.detection.boxes import DeltaCoder, clip, nonempty
from splitnest.detection.roi_align import RoIPooler
from splitnest.detection.roi_heads import Levels, RoIHeads, Scored, scored
from splitnest.detection.roi_loss import Regions, RegionSampler


@dataclass(frozen=True)
class CascadeRules:
    """In what cascades differ.

    Attributes:
        average: What of the stages is averaged: ``logits``, then one softmax, or ``probabilities``.
        loss_weights: Of the losses of each stage.
        gradient: Share of each stage's gradient that goes into its pooled regions.
        drops_empty: Boxes without area do not go on to the next stage, in training.
    """

    average: str
    loss_weights: tuple[float, ...]
    gradient: float
    drops_empty: bool


class CascadeHeads(RoIHeads):
    """Several class-agnostic box heads in a row. The boxes are those of the last, the scores the average of all.

    Mask head ``i`` is trained on the positives of stage ``i``; there are as many as stages, or one, or none.

    Args:
        pooler, box_heads, box_coders, samplers, mask_heads, box_beta, mask_min_side: As of ``RoIHeads``.
        rules: In what cascades differ.
    """

    def __init__(
        self,
        pooler: RoIPooler,
        box_heads: Sequence[nn.Module],
        box_coders: Sequence[DeltaCoder],
        samplers: Sequence[RegionSampler],
        mask_heads: Sequence[nn.Module] = (),
        *,
        rules: CascadeRules,
        box_beta: float = 0.0,
        mask_min_side: float = 1.0,
    ) -> None:
        options = {"box_beta": box_beta, "mask_min_side": mask_min_side}
        super().__init__(pooler, box_heads, box_coders, samplers, mask_heads, **options)
        self.rules = rules

    def score(self, levels: Levels, proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Scored]:
        """Return the boxes ``[P, 1, 4]`` and scores of the ``proposals`` ``[P, 4]`` of each image of ``sizes``."""
        boxes, outputs = list(proposals), []
        for head, coder in zip(self.box_heads, self.box_coders, strict=True):
            logits, deltas = head(self.pooler(levels, boxes, box_head.POOLED))
            outputs.append(logits)
            boxes = _refine(coder, deltas, boxes, sizes)
        return scored(torch.cat(boxes)[:, None], self.probabilities(outputs), proposals)

    def probabilities(self, logits: Sequence[Tensor]) -> Tensor:
        """Return the average of all stages, ``[P, K + 1]``."""
        if self.rules.average == "logits":
            return torch.stack(list(logits)).mean(0).softmax(1)
        return torch.stack([of_stage.softmax(1) for of_stage in logits]).mean(0)

    def loss(
        self,
        levels: Levels,
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss_cls_stage0``, ``loss_box_stage0``, with masks ``loss_mask_stage0``, and so on, weighted."""
        losses: dict[str, Tensor] = {}
        for stage, sampler in enumerate(self.samplers):
            of_images = zip(proposals, instances, seeds or [None] * len(sizes), strict=True)
            regions = [sampler(*of_image) for of_image in of_images]
            pooled = self.pooler(levels, [r.boxes for r in regions], box_head.POOLED)
            if pooled.requires_grad and self.rules.gradient != 1:
                pooled.register_hook(lambda gradient: gradient * self.rules.gradient)
            of_stage, deltas = self.box_loss(stage, pooled, regions, instances)
            if stage < len(self.mask_heads):
                of_stage |= self.mask_loss(stage, levels, regions, instances)
            weight = self.rules.loss_weights[stage]
            losses |= {f"{name}_stage{stage}": weight * loss for name, loss in of_stage.items()}
            proposals = self._pass_on(self.box_coders[stage], deltas, regions, sizes)
        return losses

    @torch.no_grad()
    def _pass_on(
        self, coder: DeltaCoder, deltas: Tensor, regions: Sequence[Regions], sizes: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        refined = _refine(coder, deltas, [r.boxes for r in regions], sizes)
        passed = [boxes[r.passed_on] for boxes, r in zip(refined, regions, strict=True)]
        return [boxes[nonempty(boxes)] for boxes in passed] if self.rules.drops_empty else passed


def _refine(
    coder: DeltaCoder, deltas: Tensor, boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
) -> list[Tensor]:
    """Return what ``deltas`` ``[S, 4]`` make of the ``boxes`` of each image, clipped to it."""
    decoded = coder.decode(deltas, torch.cat(list(boxes))).split([len(of_image) for of_image in boxes])
    return [clip(of_image, size) for of_image, size in zip(decoded, sizes, strict=True)]
