"""The second stage: box and mask heads on pooled regions.

Shapes: P proposals of an image, S sampled regions and S+ positive ones of all images, D detections, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitnest.batch import InstanceMask, Instances
from splitnest.detection import box_head, mask_head
from splitnest.detection.boxes import DeltaCoder
from splitnest.detection.roi_align import RoIPooler
from splitnest.detection.roi_loss import Regions, RegionSampler, box_losses, mask_loss, mask_targets, nothing
from splitnest.processes import mean_count

MASK_SIZE = 2 * mask_head.POOLED
"""Cells of a side of a mask."""

Levels = Mapping[str, Tensor]


class Scored(NamedTuple):
    """What the box heads say of the proposals of one image: ``boxes`` ``[P, K or 1, 4]``, ``scores`` ``[P, K]``."""

    boxes: Tensor
    scores: Tensor


class RoIHeads(nn.Module):
    """One box head, and a mask head or none (Faster and Mask R-CNN).

    Args:
        pooler: Pools regions.
        box_heads: One head; of a cascade one a stage.
        box_coders: Decodes the deltas of each of them.
        samplers: Chooses the regions that each of them is trained on.
        mask_heads: One head, or none; of a cascade also one a stage.
        box_beta: Of the smooth L1 loss of boxes; 0 for plain L1.
        mask_min_side: Least side in pixels of a region when polygons are scaled to its mask.
    """

    def __init__(
        self,
        pooler: RoIPooler,
        box_heads: Sequence[nn.Module],
        box_coders: Sequence[DeltaCoder],
        samplers: Sequence[RegionSampler],
        mask_heads: Sequence[nn.Module] = (),
        *,
        box_beta: float = 0.0,
        mask_min_side: float = 1.0,
    ) -> None:
        super().__init__()
        self.pooler = pooler
        self.box_heads, self.mask_heads = nn.ModuleList(box_heads), nn.ModuleList(mask_heads)
        self.box_coders, self.samplers = tuple(box_coders), tuple(samplers)
        self.box_beta, self.mask_min_side = box_beta, mask_min_side

    def score(self, levels: Levels, proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Scored]:
        """Return the boxes and scores of the ``proposals`` ``[P, 4]`` of each image, which is of ``sizes``."""
        logits, deltas = self.box_heads[0](self.pooler(levels, proposals, box_head.POOLED))
        boxes = self.box_coders[0].decode(deltas, torch.cat(list(proposals))).unflatten(1, (-1, 4))
        return scored(boxes, self.probabilities([logits]), proposals)

    def probabilities(self, logits: Sequence[Tensor]) -> Tensor:
        """Return class probabilities ``[P, K + 1]``, the last of the background, from the logits of each box head."""
        return logits[0].softmax(1)

    def mask_probabilities(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """Return mask probabilities ``[D, 28, 28]`` of pooled regions for their classes: the mean of all mask heads."""
        total = sum(head(pooled, labels).sigmoid() for head in self.mask_heads)
        assert isinstance(total, Tensor)
        return total / len(self.mask_heads)

    def masks(self, levels: Levels, boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> list[Tensor]:
        """Return mask probabilities ``[D, 28, 28]`` inside ``boxes`` ``[D, 4]`` for the classes ``labels`` ``[D]``.

        Several mask heads are averaged. A model without any gives ``[D, 0, 0]``.
        """
        if not self.mask_heads:
            return [b.new_zeros(len(b), 0, 0) for b in boxes]
        pooled, label = self.pooler(levels, boxes, mask_head.POOLED), torch.cat(list(labels))
        return list(self.mask_probabilities(pooled, label).split([len(b) for b in boxes]))

    def loss(
        self,
        levels: Levels,
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss_cls``, ``loss_box`` and, with masks, ``loss_mask``.

        Args:
            levels: p2 to p5.
            proposals: ``[P, 4]`` of each image.
            sizes: (height, width) of each image without padding.
            instances: Objects of each image.
            seeds: Of what is sampled of each image; None takes torch's random numbers.
        """
        of_images = zip(proposals, instances, seeds or [None] * len(sizes), strict=True)
        regions = [self.samplers[0](*of_image) for of_image in of_images]
        pooled = self.pooler(levels, [r.boxes for r in regions], box_head.POOLED)
        losses, _ = self.box_loss(0, pooled, regions, instances)
        if self.mask_heads:
            losses |= self.mask_loss(0, levels, regions, instances)
        return losses

    def box_loss(
        self, stage: int, pooled: Tensor, regions: Sequence[Regions], instances: Sequence[Instances]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the losses of one box head on ``pooled`` ``[S, C, 7, 7]`` and its deltas ``[S, K or 1 * 4]``."""
        head, divisor = self.box_heads[stage], mean_count(len(pooled), pooled)
        if not len(pooled):
            return {"loss_cls": nothing(head), "loss_box": nothing(head)}, pooled.new_zeros(0, 4)
        logits, deltas = head(pooled)
        return box_losses(logits, deltas, regions, instances, self.box_coders[stage], self.box_beta, divisor), deltas

    def mask_loss(
        self, stage: int, levels: Levels, regions: Sequence[Regions], instances: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """Return the loss of one mask head on the positive ones among the regions of a box head."""
        head, number = self.mask_heads[stage], sum(len(r.objects) for r in regions)
        divisor = mean_count(number, levels["p2"])
        if not number:
            return {"loss_mask": nothing(head)}
        positives = [r.boxes[: len(r.objects)] for r in regions]
        labels: list[Tensor] = []
        masks: list[InstanceMask] = []
        for of_image, objects in zip(regions, instances, strict=True):
            if objects.masks is None:
                raise ValueError("a model with masks needs masks in its ground truth")
            labels.append(objects.labels[of_image.objects])
            masks.extend(objects.masks[index] for index in of_image.objects.tolist())
        logits = head(self.pooler(levels, positives, mask_head.POOLED), torch.cat(labels))
        targets = mask_targets(masks, torch.cat(positives), MASK_SIZE, self.mask_min_side)
        return mask_loss(logits, targets.to(logits.dtype), divisor)


def scored(boxes: Tensor, probabilities: Tensor, proposals: Sequence[Tensor]) -> list[Scored]:
    """Split ``boxes`` ``[P, K or 1, 4]`` and ``probabilities`` ``[P, K + 1]``, the last of the background, by image."""
    counts = [len(of_image) for of_image in proposals]
    of_images = zip(boxes.split(counts), probabilities[:, :-1].split(counts), strict=True)
    return [Scored(*of_image) for of_image in of_images]
