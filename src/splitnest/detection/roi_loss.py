"""What the second stage is trained on: sampled regions, their classes, boxes and masks.

Shapes: N images, P proposals and G objects of an image, S sampled regions of all images, S+ positive ones, K classes.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.batch import InstanceMask, Instances
from splitnest.detection.boxes import DeltaCoder
from splitnest.detection.matching import Matcher, sample
from splitnest.results.interop import polygons_to_mask

POSITIVE_SHARE = 0.25
"""Largest share of positives among the sampled regions (Fast R-CNN; both code bases)."""

GroundTruth = Literal["first", "last", "none"]


class Regions(NamedTuple):
    """The sampled regions of one image, positives first.

    Attributes:
        boxes: ``[S, 4]``.
        objects: int64 ``[S+]``, the object that each positive stands for.
        passed_on: bool ``[S]``, which of them go on to the next stage of a cascade.
    """

    boxes: Tensor
    objects: Tensor
    passed_on: Tensor


class RegionSampler:
    """Matches proposals to objects and samples them.

    Args:
        matcher: Gives proposals their objects.
        num_samples: Regions of an image; None for all that are not ignored.
        ground_truth: The objects' own boxes are proposals too: ``first``, each matched to its object and not passed on;
            ``last``, matched and passed on as any proposal is; or ``none``.
    """

    def __init__(self, matcher: Matcher, *, num_samples: int | None, ground_truth: GroundTruth) -> None:
        self.matcher, self.num_samples, self.ground_truth = matcher, num_samples, ground_truth

    @torch.no_grad()
    def __call__(self, proposals: Tensor, objects: Instances, seed: int | None = None) -> Regions:
        """Return the sampled regions among ``proposals`` ``[P, 4]`` and the boxes of ``objects``.

        What is sampled follows from ``seed``, or is drawn from torch's random numbers.
        """
        from torchvision.ops import box_iou

        truth = objects.boxes.to(proposals.dtype)
        boxes = torch.cat((proposals, truth)) if self.ground_truth == "last" else proposals
        matched = self.matcher(box_iou(truth, boxes))
        own = len(truth) if self.ground_truth == "first" else 0
        if own:
            boxes = torch.cat((truth, boxes))
            matched = torch.cat((torch.arange(own, device=matched.device), matched))
        if self.num_samples is None:
            positives, negatives = sample(matched, len(matched), 1.0, seed)
        else:
            positives, negatives = sample(matched, self.num_samples, POSITIVE_SHARE, seed)
        chosen = torch.cat((positives, negatives))
        return Regions(boxes[chosen], matched[positives], chosen >= own)


def box_losses(
    logits: Tensor,
    deltas: Tensor,
    regions: Sequence[Regions],
    instances: Sequence[Instances],
    coder: DeltaCoder,
    beta: float,
    divisor: Tensor | float,
) -> dict[str, Tensor]:
    """Return ``loss_cls``, cross entropy over S regions, and ``loss_box``, L1 of the positives' deltas over S.

    Args:
        logits: ``[S, K + 1]``, the last for the background.
        deltas: ``[S, K * 4]``, or ``[S, 4]`` of a class-agnostic head.
        regions: Of each image.
        instances: Objects of each image.
        coder: Encodes the objects.
        beta: Error under which the L1 loss is smooth.
        divisor: Of both sums: S, or its mean over several processes.
    """
    num_classes = logits.shape[1] - 1
    labels, rows, targets, start = [], [], [], 0
    for of_image, objects in zip(regions, instances, strict=True):
        count, num_positives = len(of_image.boxes), len(of_image.objects)
        label = objects.labels.new_full((count,), num_classes)
        label[:num_positives] = objects.labels[of_image.objects]
        labels.append(label)
        rows.append(torch.arange(start, start + num_positives, device=logits.device))
        targets.append(coder.encode(objects.boxes[of_image.objects], of_image.boxes[:num_positives]))
        start += count
    label, positives = torch.cat(labels), torch.cat(rows)
    by_class = deltas.unflatten(1, (-1, 4))  # [S, K or 1, 4]
    columns = label[positives] if by_class.shape[1] > 1 else torch.zeros_like(positives)
    loss_box = F.smooth_l1_loss(by_class[positives, columns], torch.cat(targets), reduction="sum", beta=beta)
    return {"loss_cls": F.cross_entropy(logits, label, reduction="sum") / divisor, "loss_box": loss_box / divisor}


def mask_targets(masks: Sequence[InstanceMask], boxes: Tensor, size: int, min_side: float) -> Tensor:
    """Return what the mask head is to give for regions: 0 or 1, ``[S+, size, size]``, in the type of ``boxes``.

    Polygons are scaled to the region and rasterised by COCO's rule; masks are pooled by RoIAlign and cut at 0.5.

    Args:
        masks: Of the object of each region.
        boxes: The regions, ``[S+, 4]``.
        size: Cells of a side.
        min_side: Sides of a region count as at least so many pixels.
    """
    from torchvision.ops import roi_align

    drawn = np.zeros((len(boxes), size, size), dtype=bool)
    for target, mask, box in zip(drawn, masks, boxes.cpu().numpy(), strict=True):
        if not isinstance(mask, Tensor):
            scale = size / np.maximum(box[2:] - box[:2], min_side)
            polygons = [((polygon.reshape(-1, 2) - box[:2]) * scale).ravel() for polygon in mask]
            target[:] = polygons_to_mask(polygons, (size, size))
    targets = torch.from_numpy(drawn).to(boxes)
    for target, mask, box in zip(targets, masks, boxes, strict=True):
        if isinstance(mask, Tensor):
            pooled = roi_align(mask[None, None].to(boxes.dtype), [box[None]], size, aligned=True)
            target.copy_(pooled[0, 0] >= 0.5)
    return targets


def mask_loss(logits: Tensor, targets: Tensor, divisor: Tensor | float) -> dict[str, Tensor]:
    """Return ``loss_mask``, the binary cross entropy of ``logits`` and ``targets``, both ``[S+, size, size]``.

    It is averaged over the cells of a region; their sum is divided by ``divisor``: S+, or its mean over several
    processes.
    """
    total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return {"loss_mask": total / (divisor * targets.shape[1] * targets.shape[2])}


def nothing(head: nn.Module) -> Tensor:
    """Return a loss of 0 that reaches every parameter of ``head``, for a batch that gives it no region."""
    return sum((parameter.sum() for parameter in head.parameters()), torch.zeros(())) * 0.0
