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

from splitnest.models.class_loss import ClassLoss, sum_of
from splitnest.models.detection.box_coder import BoxCoder
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
    """

    boxes: Tensor
    gt_index: Tensor
    passed_on: Tensor


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
        from torchvision.ops import box_iou

        gt_boxes = gt.boxes.to(proposals.dtype)
        boxes = torch.cat((proposals, gt_boxes)) if self.gt_order == "last" else proposals
        matches = self.matcher(box_iou(gt_boxes, boxes))
        num_first = len(gt_boxes) if self.gt_order == "first" else 0
        if num_first:
            boxes = torch.cat((gt_boxes, boxes))
            matches = torch.cat((torch.arange(num_first, device=matches.device), matches))
        if self.num_samples is None:
            positives, negatives = sample(matches, len(matches), 1.0, seed)
        else:
            positives, negatives = sample(matches, self.num_samples, POSITIVE_FRACTION, seed)
        sampled = torch.cat((positives, negatives))
        return SampledRegions(boxes[sampled], matches[positives], sampled >= num_first)


def box_losses(
    logits: Tensor,
    deltas: Tensor,
    regions: Sequence[SampledRegions],
    instances: Sequence[Instances],
    coder: BoxCoder,
    beta: float,
    divisor: Tensor | float,
    class_loss: ClassLoss | None = None,
) -> dict[str, Tensor]:
    """Return ``loss_cls``, the cross entropy of S regions, and ``loss_box``, the smooth L1 loss of positive deltas.

    Args:
        logits: ``[S, K + 1]``, background last.
        deltas: ``[S, K * 4]``, or ``[S, 4]`` of a class-agnostic head.
        regions: Sampled regions of each image.
        instances: Ground truth of each image.
        coder: Box coder of the targets.
        beta: Beta of the smooth L1 loss.
        divisor: Normalizer of both sums: S, averaged over processes.
        class_loss: Loss of each region; None for the cross entropy.
    """
    num_classes = logits.shape[1] - 1
    labels, rows, targets, start = [], [], [], 0
    for of_image, gt in zip(regions, instances, strict=True):
        count, num_positives = len(of_image.boxes), len(of_image.gt_index)
        label = gt.labels.new_full((count,), num_classes)
        label[:num_positives] = gt.labels[of_image.gt_index]
        labels.append(label)
        rows.append(torch.arange(start, start + num_positives, device=logits.device))
        targets.append(coder.encode(gt.boxes[of_image.gt_index], of_image.boxes[:num_positives]))
        start += count
    label, positives = torch.cat(labels), torch.cat(rows)
    by_class = deltas.unflatten(1, (-1, 4))  # [S, K or 1, 4]
    columns = label[positives] if by_class.shape[1] > 1 else torch.zeros_like(positives)
    loss_box = F.smooth_l1_loss(by_class[positives, columns], torch.cat(targets), reduction="sum", beta=beta)
    if class_loss is None:
        loss_cls = F.cross_entropy(logits, label, reduction="sum")
    else:
        loss_cls = sum_of(class_loss, logits, label)
    return {"loss_cls": loss_cls / divisor, "loss_box": loss_box / divisor}


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
