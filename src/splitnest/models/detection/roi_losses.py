"""Sampling of proposals, and the class, box and mask losses of the second stage.

Shapes: N images, P proposals and G ground-truth boxes of an image, S sampled regions of all images, S+ positive ones, K
classes.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.class_loss import ClassLoss, rows_of
from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.box_losses import BoxLoss
from splitnest.models.detection.matcher import Matcher, sample
from splitnest.structures.instances import InstanceMask, Instances
from splitnest.structures.masks import polygons_to_mask

POSITIVE_FRACTION = 0.25
"""Maximum fraction of positives among the sampled regions (Fast R-CNN; mmdetection and detectron2)."""

GroundTruthOrder = Literal["first", "last", "none"]


class SampledRegions(NamedTuple):
    """Sampled regions of one image, positives first.

    Attributes:
        boxes: ``[S, 4]``.
        gt_index: int64 ``[S+]``, ground-truth index of each positive region.
        passed_on: bool ``[S]``, whether a region is passed to the next stage of a cascade.
        weights: Weight of the class loss of each negative region, ``[S - S+]``; None for 1.
    """

    boxes: Tensor
    gt_index: Tensor
    passed_on: Tensor
    weights: Tensor | None = None


class Candidates(NamedTuple):
    """Regions of one image that can be sampled: C proposals and ground-truth boxes.

    Attributes:
        boxes: ``[C, 4]``.
        matches: int64 ``[C]``, ground-truth index of each, or ``NEGATIVE`` or ``IGNORED``.
        iou: Highest IoU of each with a ground-truth box, ``[C]``; 1 for a ground-truth box.
        num_first: Number of ground-truth boxes that come first and are not passed on.
    """

    boxes: Tensor
    matches: Tensor
    iou: Tensor
    num_first: int

    def sampled(self, positives: Tensor, negatives: Tensor) -> SampledRegions:
        """Return the regions of these indices."""
        sampled = torch.cat((positives, negatives))
        return SampledRegions(self.boxes[sampled], self.matches[positives], sampled >= self.num_first)


class RegionSampler:
    """Matches proposals to ground truth and samples them.

    Args:
        matcher: Matcher of proposals and ground truth.
        num_samples: Number of sampled regions of an image; None uses all that are not ignored.
        gt_order: Place of ground-truth boxes among the proposals: ``first``, each matched to itself and not passed on;
            ``last``, matched and passed on like any proposal; or ``none``.
    """

    def __init__(self, matcher: Matcher, *, num_samples: int | None, gt_order: GroundTruthOrder) -> None:
        self.matcher, self.num_samples, self.gt_order = matcher, num_samples, gt_order

    @torch.no_grad()
    def __call__(self, proposals: Tensor, gt: Instances, seed: int | None = None) -> SampledRegions:
        """Return the sampled regions among ``proposals`` ``[P, 4]`` and ground-truth boxes.

        Args:
            proposals: Proposals of an image.
            gt: Ground truth of the image.
            seed: Sampling seed; None uses torch's global random state.
        """
        return self.choose(self.match(proposals, gt), seed)

    def choose(self, candidates: Candidates, seed: int | None = None) -> SampledRegions:
        """Return a random sample of candidates; with a seed it is always the same."""
        if self.num_samples is None:
            return candidates.sampled(*sample(candidates.matches, len(candidates.matches), 1.0, seed))
        return candidates.sampled(*sample(candidates.matches, self.num_samples, POSITIVE_FRACTION, seed))

    @torch.no_grad()
    def match(self, proposals: Tensor, gt: Instances) -> Candidates:
        """Return the proposals ``[P, 4]`` of an image, and ground-truth boxes among them, with their matches."""
        from torchvision.ops import box_iou

        gt_boxes = gt.boxes.to(proposals.dtype)
        boxes = torch.cat((proposals, gt_boxes)) if self.gt_order == "last" else proposals
        iou = box_iou(gt_boxes, boxes)
        matches = self.matcher(iou)
        best = iou.amax(0) if len(gt_boxes) else boxes.new_zeros(len(boxes))
        num_first = len(gt_boxes) if self.gt_order == "first" else 0
        if num_first:
            boxes = torch.cat((gt_boxes, boxes))
            matches = torch.cat((torch.arange(num_first, device=matches.device), matches))
            best = torch.cat((best.new_ones(num_first), best))
        return Candidates(boxes, matches, best, num_first)


class RegionTargets(NamedTuple):
    """Targets of S regions of all images, S+ of them positive, for K classes.

    Attributes:
        labels: int64 ``[S]``; K for background.
        positives: int64 ``[S+]``, index of each positive region.
        boxes: Positive regions, ``[S+, 4]``.
        gt_boxes: Ground-truth box of each, ``[S+, 4]``.
        gt: int64 ``[S+]``, index of this box among those of all images.
        weights: Weight of the class loss of each region, ``[S]``; None for 1.
    """

    labels: Tensor
    positives: Tensor
    boxes: Tensor
    gt_boxes: Tensor
    gt: Tensor
    weights: Tensor | None = None

    def deltas_of_class(self, deltas: Tensor) -> Tensor:
        """Return the deltas ``[S+, 4]`` of the true class of positive regions, from ``[S, K * 4]`` or ``[S, 4]``."""
        by_class = deltas.unflatten(1, (-1, 4))
        columns = self.labels[self.positives] if by_class.shape[1] > 1 else torch.zeros_like(self.positives)
        return by_class[self.positives, columns]


def region_targets(
    regions: Sequence[SampledRegions], instances: Sequence[Instances], num_classes: int
) -> RegionTargets:
    """Return the targets of the sampled regions of each image."""
    labels, rows, boxes, gt_boxes, gt_index, start, num_gt = [], [], [], [], [], 0, 0
    for of_image, gt in zip(regions, instances, strict=True):
        count, num_positives = len(of_image.boxes), len(of_image.gt_index)
        label = gt.labels.new_full((count,), num_classes)
        label[:num_positives] = gt.labels[of_image.gt_index]
        labels.append(label)
        rows.append(torch.arange(start, start + num_positives, device=label.device))
        boxes.append(of_image.boxes[:num_positives])
        gt_boxes.append(gt.boxes[of_image.gt_index])
        gt_index.append(of_image.gt_index + num_gt)
        start, num_gt = start + count, num_gt + len(gt.boxes)
    return RegionTargets(
        labels=torch.cat(labels),
        positives=torch.cat(rows),
        boxes=torch.cat(boxes),
        gt_boxes=torch.cat(gt_boxes),
        gt=torch.cat(gt_index),
        weights=_class_weights(regions),
    )


def _class_weights(regions: Sequence[SampledRegions]) -> Tensor | None:
    """Return the weight of the class loss of each region, ``[S]``: 1 of positive regions; None if all are 1."""
    if all(of_image.weights is None for of_image in regions):
        return None
    weights = []
    for of_image in regions:
        weight = of_image.boxes.new_ones(len(of_image.boxes))
        if of_image.weights is not None:
            weight[len(of_image.gt_index) :] = of_image.weights
        weights.append(weight)
    return torch.cat(weights)


def class_losses(logits: Tensor, labels: Tensor, class_loss: ClassLoss | None = None) -> Tensor:
    """Return the class loss of each region, ``[S]``: the cross entropy, or what ``class_loss`` returns.

    Args:
        logits: ``[S, K + 1]``, background last.
        labels: Class of each region, int64 ``[S]``.
        class_loss: Loss of each region; None for the cross entropy.
    """
    if class_loss is None:
        return F.cross_entropy(logits, labels, reduction="none")
    return rows_of(class_loss, logits, labels)


def box_losses(
    logits: Tensor,
    deltas: Tensor,
    targets: RegionTargets,
    coder: BoxCoder,
    box_loss: BoxLoss,
    divisor: Tensor | float,
    class_loss: ClassLoss | None = None,
) -> dict[str, Tensor]:
    """Return ``loss_cls``, the weighted class loss of S regions, and ``loss_box``, that of the boxes of positive ones.

    Args:
        logits: ``[S, K + 1]``, background last.
        deltas: ``[S, K * 4]``, or ``[S, 4]`` of a class-agnostic head.
        targets: Targets of the regions.
        coder: Box coder of the deltas.
        box_loss: Loss of each box.
        divisor: Normalizer of both sums: S, averaged over processes.
        class_loss: Loss of each region; None for the cross entropy.
    """
    of_classes = class_losses(logits, targets.labels, class_loss)
    if targets.weights is not None:
        of_classes = of_classes * targets.weights
    of_boxes = box_loss(targets.deltas_of_class(deltas), targets.boxes, targets.gt_boxes, coder)
    return {"loss_cls": of_classes.sum() / divisor, "loss_box": of_boxes.sum() / divisor}


def mask_targets(masks: Sequence[InstanceMask], boxes: Tensor, size: int, min_side: float) -> Tensor:
    """Return the target masks of regions: 0 or 1, ``[S+, size, size]``, in the type of ``boxes``.

    Polygons are scaled to the region and rasterized by COCO's rule; dense masks are pooled by RoIAlign and thresholded
    at 0.5.

    Args:
        masks: Ground-truth mask of each region.
        boxes: Regions, ``[S+, 4]``.
        size: Cells of a side of a target.
        min_side: Lower bound of the sides of a region in pixels.
    """
    from torchvision.ops import roi_align

    rasterized = np.zeros((len(boxes), size, size), dtype=bool)
    for target, mask, box in zip(rasterized, masks, boxes.cpu().numpy(), strict=True):
        if not isinstance(mask, Tensor):
            scale = size / np.maximum(box[2:] - box[:2], min_side)
            polygons = [((polygon.reshape(-1, 2) - box[:2]) * scale).ravel() for polygon in mask]
            target[:] = polygons_to_mask(polygons, (size, size))
    targets = torch.from_numpy(rasterized).to(boxes)
    for target, mask, box in zip(targets, masks, boxes, strict=True):
        if isinstance(mask, Tensor):
            pooled = roi_align(mask[None, None].to(boxes.dtype), [box[None]], size, aligned=True)
            target.copy_(pooled[0, 0] >= 0.5)
    return targets


def mask_loss(logits: Tensor, targets: Tensor, divisor: Tensor | float) -> dict[str, Tensor]:
    """Return ``loss_mask``, the binary cross entropy of ``logits`` and ``targets``, both ``[S+, size, size]``.

    Args:
        logits: Mask logits of the true class of each positive region.
        targets: Target masks.
        divisor: Normalizer of the sum over regions, each averaged over its cells: S+, averaged over processes.
    """
    total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return {"loss_mask": total / (divisor * targets.shape[1] * targets.shape[2])}


def zero_loss(head: nn.Module) -> Tensor:
    """Return a loss of 0 that depends on every parameter of ``head``, for a batch without regions for it."""
    return sum((parameter.sum() for parameter in head.parameters()), torch.zeros(())) * 0.0
