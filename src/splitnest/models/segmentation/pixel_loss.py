"""Pixel-wise cross entropy of semantic segmentation, and online hard example mining (OHEM).

Shapes: N images, K classes, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.distributed import loss_normalizer
from splitnest.models.class_loss import ClassLoss, sum_of
from splitnest.structures.panoptic_labels import UNLABELED


@dataclass(frozen=True)
class PixelMiner:
    """Online hard example mining of pixels (mmsegmentation ``OHEMPixelSampler``).

    Attributes:
        threshold: Pixels whose true class has a higher probability are ignored; None keeps those of the highest loss.
        min_kept: Minimum number of pixels of each image that are kept; without a threshold, their mean number.
    """

    threshold: float | None
    min_kept: int

    @torch.no_grad()
    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return which pixels are kept, bool ``[N, H, W]``, for logits ``[N, K, H, W]`` and labels ``[N, H, W]``."""
        labeled = labels != UNLABELED
        true_class = logits.softmax(1).gather(1, torch.where(labeled, labels, 0)[:, None])[:, 0]
        probabilities = true_class[labeled]
        if not len(probabilities):
            return labeled
        if self.threshold is None:
            hardest = probabilities.argsort()[: self.min_kept * len(labels)]
            return labeled.masked_scatter(labeled, torch.zeros_like(labeled[labeled]).index_fill(0, hardest, True))
        place = min(self.min_kept * len(labels), len(probabilities) - 1)
        threshold = max(float(probabilities.kthvalue(place + 1).values), self.threshold)
        return labeled & (true_class < threshold)


def pixel_loss(
    logits: Tensor,
    labels: Tensor,
    ohem: PixelMiner | None = None,
    *,
    align_corners: bool = False,
    class_weights: Sequence[float] | None = None,
    class_loss: ClassLoss | None = None,
) -> Tensor:
    """Return the cross entropy at the resolution of the labels, summed and divided by the number of **all** pixels.

    Unlabeled pixels contribute no loss but count, as in mmsegmentation (``avg_non_ignore`` false).

    Args:
        logits: ``[N, K, h, w]``.
        labels: ``[N, H, W]``, classes or 255.
        ohem: Mining of hard pixels; None uses all pixels.
        align_corners: Whether resizing maps the corner cells to the corner pixels.
        class_weights: Weight of each class; None weighs all the same.
        class_loss: Loss of each labeled pixel; None for the cross entropy.
    """
    labels = labels.long()
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=align_corners)
    if ohem is not None:
        labels = labels.masked_fill(~ohem(logits, labels), UNLABELED)
    if class_loss is None:
        weights = None if class_weights is None else logits.new_tensor(class_weights)
        total = F.cross_entropy(logits, labels, weights, ignore_index=UNLABELED, reduction="sum")
    else:
        labeled = labels != UNLABELED
        total = sum_of(class_loss, logits.movedim(1, -1)[labeled], labels[labeled])
    return total / loss_normalizer(labels.numel(), logits)
