"""What a segmentor is trained on.

Shapes: N images, K classes, H x W pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.data.panoptic_labels import UNLABELLED
from splitnest.processes import mean_count


@dataclass(frozen=True)
class HardPixelRule:
    """Online hard example mining (mmsegmentation ``OHEMPixelSampler``).

    Attributes:
        max_score: Pixels whose own class has a score over it are left out.
        min_pixels: But at least so many stay, per image of a batch.
    """

    max_score: float
    min_pixels: int

    @torch.no_grad()
    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return which pixels take part, bool ``[N, H, W]``."""
        labelled = labels != UNLABELLED
        own = logits.softmax(1).gather(1, torch.where(labelled, labels, 0)[:, None])[:, 0]
        scores = own[labelled]
        if not len(scores):
            return labelled
        place = min(self.min_pixels * len(labels), len(scores) - 1)
        threshold = max(float(scores.kthvalue(place + 1).values), self.max_score)
        return labelled & (own < threshold)


def pixel_loss(logits: Tensor, labels: Tensor, hard_pixels: HardPixelRule | None = None) -> Tensor:
    """Return the cross entropy of ``logits`` at the size of ``labels``, its sum divided by **all** pixels.

    Pixels without a label add nothing, but count, as in mmsegmentation (``avg_non_ignore`` false).

    Args:
        logits: ``[N, K, h, w]``.
        labels: ``[N, H, W]``, classes or 255.
        hard_pixels: Which pixels take part; None for all.
    """
    labels = labels.long()
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    if hard_pixels is not None:
        labels = labels.masked_fill(~hard_pixels(logits, labels), UNLABELLED)
    return F.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction="sum") / mean_count(
        labels.numel(), logits
    )
