"""Second stage of a detector: box heads and mask heads on pooled regions.

Shapes: R regions of all images, S sampled regions and S+ positive ones, D detections of all images, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitnest.distributed import loss_normalizer
from splitnest.models.class_loss import ClassLoss
from splitnest.models.detection import box_head, mask_head
from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.box_losses import BoxLoss
from splitnest.models.detection.boxes import clip
from splitnest.models.detection.regions import Regions
from splitnest.models.detection.roi_align import RoIPooler
from splitnest.models.detection.roi_losses import (
    RegionSampler,
    RegionTargets,
    SampledRegions,
    box_losses,
    mask_loss,
    mask_targets,
    region_targets,
    zero_loss,
)
from splitnest.structures.instances import InstanceMask, Instances

MASK_SIZE = 2 * mask_head.POOLED
"""Cells of a side of a predicted mask."""

Features = Mapping[str, Tensor]
"""Feature pyramid: p2 to p6, ``[N, C, H, W]`` each."""


class Scored(NamedTuple):
    """Refined boxes ``[R, K or 1, 4]`` and class scores ``[R, K]`` of regions; 1 for class-agnostic boxes."""

    boxes: Tensor
    scores: Tensor


class RoIHeads(nn.Module):
    """Box heads, each on the boxes of the one before, and mask heads; Faster and Mask R-CNN have one of each.

    Args:
        pooler: RoIAlign over the pyramid.
        box_heads: Box heads, one for each stage.
        box_coders: Box coder of each box head.
        samplers: Region sampler of each box head.
        mask_heads: Mask heads; none for a model without masks.
        box_loss: Loss of the boxes of positive regions.
        mask_min_side: Lower bound of the sides of a region in pixels when polygons are scaled to its mask target.
        class_loss: Loss of each region; None for the cross entropy.
    """

    def __init__(
        self,
        pooler: RoIPooler,
        box_heads: Sequence[nn.Module],
        box_coders: Sequence[BoxCoder],
        samplers: Sequence[RegionSampler],
        mask_heads: Sequence[nn.Module] = (),
        *,
        box_loss: BoxLoss = BoxLoss(),  # noqa: B008
        mask_min_side: float = 1.0,
        class_loss: ClassLoss | None = None,
    ) -> None:
        super().__init__()
        self.pooler = pooler
        self.box_heads, self.mask_heads = nn.ModuleList(box_heads), nn.ModuleList(mask_heads)
        self.box_coders, self.samplers = tuple(box_coders), tuple(samplers)
        self.regression_loss, self.mask_min_side, self.class_loss = box_loss, mask_min_side, class_loss

    def score(self, features: Features, regions: Regions, sizes: Tensor) -> Scored:
        """Refine the boxes of regions and score their classes.

        Args:
            features: Feature pyramid.
            regions: Proposals.
            sizes: (height, width) of each image without padding, ``[N, 2]`` in pixels.
        """
        stage_logits: list[Tensor] = []
        boxes, region_sizes = regions.boxes[:, None], sizes[regions.images]
        for head, coder in zip(self.box_heads, self.box_coders, strict=True):
            references = boxes[:, 0]  # the boxes of a cascade stage are the regions of the next
            if boxes.shape[1] > 1:
                references = box_head.of_class(boxes, stage_logits[-1][:, :-1].argmax(1))
            pooled = self.pooler(features, Regions(references, regions.images), box_head.POOLED)
            logits, deltas = head(pooled)
            boxes = clip(coder.decode(deltas, references).unflatten(1, (-1, 4)), region_sizes)
            stage_logits.append(logits)
        return Scored(boxes, self.probabilities(stage_logits)[:, :-1])

    def probabilities(self, logits: Sequence[Tensor]) -> Tensor:
        """Return class probabilities ``[R, K + 1]``, background last, from the logits of each box head."""
        return logits[0].softmax(1)

    def masks(self, features: Features, regions: Regions, labels: Tensor) -> Tensor:
        """Return mask probabilities ``[D, 28, 28]`` of detections; ``[D, 0, 0]`` of a model without masks.

        Args:
            features: Feature pyramid.
            regions: Boxes of the detections.
            labels: Classes of the detections, ``[D]``.
        """
        if not self.mask_heads:
            return regions.boxes.new_zeros(*labels.shape, 0, 0)
        pooled = self.pooler(features, regions, mask_head.POOLED)
        total = sum(head(pooled, labels).sigmoid() for head in self.mask_heads)
        assert isinstance(total, Tensor)
        return total / len(self.mask_heads)

    def loss(
        self,
        features: Features,
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss_cls``, ``loss_box`` and, with masks, ``loss_mask``.

        Args:
            features: Feature pyramid.
            proposals: Proposals of each image, ``[P, 4]``.
            sizes: (height, width) of each image without padding, in pixels.
            instances: Ground truth of each image.
            seeds: Sampling seed of each image; None uses torch's global random state.
        """
        sampled = self.sample(0, proposals, instances, seeds)
        losses, *_ = self.box_loss(0, features, sampled, instances)
        if self.mask_heads:
            losses |= self.mask_loss(0, features, sampled, instances)
        return losses

    def sample(
        self,
        stage: int,
        proposals: Sequence[Tensor],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None,
    ) -> list[SampledRegions]:
        """Return the sampled regions of each image for one box head."""
        of_images = zip(proposals, instances, seeds or [None] * len(instances), strict=True)
        return [self.samplers[stage](*of_image) for of_image in of_images]

    def box_loss(
        self,
        stage: int,
        features: Features,
        sampled: Sequence[SampledRegions],
        instances: Sequence[Instances],
        gradient_scale: float = 1.0,
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return the losses of one box head, its logits ``[S, K + 1]`` and its deltas ``[S, K or 1 * 4]``.

        Args:
            stage: Index of the box head.
            features: Feature pyramid.
            sampled: Sampled regions of each image.
            instances: Ground truth of each image.
            gradient_scale: Factor of the gradient with respect to the pooled features.
        """
        pooled = self.pooler(features, Regions.from_list([s.boxes for s in sampled]), box_head.POOLED)
        if pooled.requires_grad and gradient_scale != 1:
            pooled.register_hook(lambda gradient: gradient * gradient_scale)
        head, divisor = self.box_heads[stage], loss_normalizer(len(pooled), pooled)
        if not len(pooled):
            nothing = {"loss_cls": zero_loss(head), "loss_box": zero_loss(head)}
            return nothing, pooled.new_zeros(0, 2), pooled.new_zeros(0, 4)
        logits, deltas = head(pooled)
        targets = region_targets(sampled, instances, logits.shape[1] - 1)
        return self.losses_of(stage, logits, deltas, targets, divisor), logits, deltas

    def losses_of(
        self, stage: int, logits: Tensor, deltas: Tensor, targets: RegionTargets, divisor: Tensor | float
    ) -> dict[str, Tensor]:
        """Return the losses of one box head; arguments as in ``box_losses``."""
        return box_losses(
            logits, deltas, targets, self.box_coders[stage], self.regression_loss, divisor, self.class_loss
        )

    def mask_loss(
        self, stage: int, features: Features, sampled: Sequence[SampledRegions], instances: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """Return the loss of one mask head on the positive sampled regions of a box head."""
        head, number = self.mask_heads[stage], sum(len(s.gt_index) for s in sampled)
        divisor = loss_normalizer(number, features["p2"])
        if not number:
            return {"loss_mask": zero_loss(head)}
        positives = [s.boxes[: len(s.gt_index)] for s in sampled]
        labels: list[Tensor] = []
        masks: list[InstanceMask] = []
        for of_image, gt in zip(sampled, instances, strict=True):
            if gt.masks is None:
                raise ValueError("the ground truth has no masks, which a model with masks needs")
            labels.append(gt.labels[of_image.gt_index])
            masks.extend(gt.masks[index] for index in of_image.gt_index.tolist())
        regions = Regions.from_list(positives)
        logits = head(self.pooler(features, regions, mask_head.POOLED), torch.cat(labels))
        targets = mask_targets(masks, regions.boxes, MASK_SIZE, self.mask_min_side)
        return mask_loss(logits, targets.to(logits.dtype), divisor)
