"""Losses of the region proposal network (Ren et al. 2015, section 3.1.2).

Shapes: N images, A anchors of an image over all levels, G ground-truth boxes of an image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.distributed import loss_normalizer
from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.matcher import IGNORED, Matcher, sample
from splitnest.models.detection.rpn import LevelPredictions
from splitnest.structures.instances import Instances

POSITIVE_FRACTION = 0.5
"""Maximum fraction of positives among the sampled anchors (mmdetection and detectron2)."""


class RPNLoss:
    """Binary cross entropy of the logits of sampled anchors, and smooth L1 loss of the deltas of positive ones.

    Args:
        coder: Box coder of the targets.
        matcher: Matcher of anchors and ground truth.
        num_samples: Number of sampled anchors of an image.
        padding_divisor: Divisor of an image's own padded size; anchors centered outside of it are ignored. None uses
            all anchors.
        ignore_crossing: Whether anchors that cross the image border are ignored.
        normalizer: Normalizer of the losses: the anchors ``sampled``, at least one positive and one negative an image,
            or ``samples``, which is ``num_samples`` times the number of images.
        beta: Beta of the smooth L1 loss; 0 for the L1 loss.
    """

    def __init__(
        self,
        coder: BoxCoder,
        matcher: Matcher,
        *,
        num_samples: int,
        padding_divisor: int | None,
        ignore_crossing: bool,
        normalizer: str,
        beta: float,
    ) -> None:
        self.coder, self.matcher = coder, matcher
        self.padding_divisor, self.ignore_crossing = padding_divisor, ignore_crossing
        self.num_samples, self.normalizer, self.beta = num_samples, normalizer, beta

    def __call__(
        self,
        predictions: Sequence[LevelPredictions],
        sizes: Sequence[tuple[int, int]],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss_rpn_cls`` and ``loss_rpn_box``.

        Args:
            predictions: Predictions of each level, for N images.
            sizes: (height, width) of each image without padding, in pixels.
            instances: Ground truth of each image.
            seeds: Sampling seed of each image; None uses torch's global random state.
        """
        logits = torch.cat([level.logits for level in predictions], dim=1)  # [N, A]
        deltas = torch.cat([level.deltas for level in predictions], dim=1)  # [N, A, 4]
        anchors = torch.cat([level.anchors for level in predictions])  # [A, 4]
        loss_cls, loss_box, num_sampled = logits.new_zeros(()), logits.new_zeros(()), 0
        for image, (size, gt, seed) in enumerate(zip(sizes, instances, seeds or [None] * len(sizes), strict=True)):
            matches = self._match(anchors, size, gt)
            positives, negatives = sample(matches, self.num_samples, POSITIVE_FRACTION, seed)
            num_sampled += max(len(positives), 1) + max(len(negatives), 1)
            sampled = torch.cat((positives, negatives))
            is_positive = (torch.arange(len(sampled), device=sampled.device) < len(positives)).to(logits.dtype)
            loss_cls = loss_cls + F.binary_cross_entropy_with_logits(
                logits[image, sampled], is_positive, reduction="sum"
            )
            targets = self.coder.encode(gt.boxes[matches[positives]], anchors[positives])
            loss_box = loss_box + F.smooth_l1_loss(deltas[image, positives], targets, reduction="sum", beta=self.beta)
        count = num_sampled if self.normalizer == "sampled" else self.num_samples * len(sizes)
        divisor = loss_normalizer(count, logits)
        return {"loss_rpn_cls": loss_cls / divisor, "loss_rpn_box": loss_box / divisor}

    @torch.no_grad()
    def _match(self, anchors: Tensor, size: tuple[int, int], gt: Instances) -> Tensor:
        from torchvision.ops import box_iou

        used = self._used(anchors, size)
        matches = anchors.new_full((len(anchors),), IGNORED, dtype=torch.long)
        matches[used] = self.matcher(box_iou(gt.boxes, anchors[used]))
        return matches

    def _used(self, anchors: Tensor, size: tuple[int, int]) -> Tensor:
        """Return which anchors are matched at all, bool ``[A]``."""
        used = torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
        if self.padding_divisor is not None:
            height, width = (-(-side // self.padding_divisor) * self.padding_divisor for side in size)
            centers = 0.5 * (anchors[:, :2] + anchors[:, 2:])
            used &= (centers < centers.new_tensor((width, height)) - 0.5).all(dim=1)  # centers are whole pixels
        if self.ignore_crossing:
            used &= (anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2:] < anchors.new_tensor(size[::-1])).all(dim=1)
        return used
