"""What the region proposal network is trained on (Ren et al. 2015, section 3.1.2).

Shapes: N images, A anchors of an image over all levels, G objects of an image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.batch import Instances
from splitnest.detection.boxes import DeltaCoder
from splitnest.detection.matching import IGNORED, Matcher, sample
from splitnest.detection.rpn import LevelPredictions
from splitnest.processes import mean_count

POSITIVE_SHARE = 0.5
"""Largest share of positives among the sampled anchors (both code bases)."""


class RPNLoss:
    """Binary cross entropy of the logits of sampled anchors, smooth L1 of the deltas of the positive ones.

    Args:
        coder: Encodes the objects.
        matcher: Gives anchors their objects.
        num_samples: Anchors of an image.
        padding_divisor: Anchors centred outside of an image's own padded size, its size rounded up to a multiple of
            this, take no part; None for all anchors.
        ignores_crossing: Anchors that cross the border of the image take no part.
        over: Losses are divided by the anchors that were ``sampled``, at least one positive and one negative an image,
            or by ``samples``, ``num_samples`` an image.
        beta: Error under which the L1 loss is smooth; 0 for plain L1.
    """

    def __init__(
        self,
        coder: DeltaCoder,
        matcher: Matcher,
        *,
        num_samples: int,
        padding_divisor: int | None,
        ignores_crossing: bool,
        over: str,
        beta: float,
    ) -> None:
        self.coder, self.matcher = coder, matcher
        self.padding_divisor, self.ignores_crossing = padding_divisor, ignores_crossing
        self.num_samples, self.over, self.beta = num_samples, over, beta

    def __call__(
        self,
        predictions: Sequence[LevelPredictions],
        sizes: Sequence[tuple[int, int]],
        instances: Sequence[Instances],
        seeds: Sequence[int | None] | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss_rpn_cls`` and ``loss_rpn_box``.

        Args:
            predictions: Of each level, for N images.
            sizes: (height, width) of each image without padding.
            instances: Objects of each image.
            seeds: Of what is sampled of each image; None takes torch's random numbers.
        """
        logits = torch.cat([level.logits for level in predictions], dim=1)  # [N, A]
        deltas = torch.cat([level.deltas for level in predictions], dim=1)  # [N, A, 4]
        anchors = torch.cat([level.anchors for level in predictions])  # [A, 4]
        loss_cls, loss_box, sampled = logits.new_zeros(()), logits.new_zeros(()), 0
        for image, (size, objects, seed) in enumerate(zip(sizes, instances, seeds or [None] * len(sizes), strict=True)):
            matched = self._match(anchors, size, objects)
            positives, negatives = sample(matched, self.num_samples, POSITIVE_SHARE, seed)
            sampled += max(len(positives), 1) + max(len(negatives), 1)
            chosen = torch.cat((positives, negatives))
            truth = (torch.arange(len(chosen), device=chosen.device) < len(positives)).to(logits.dtype)
            loss_cls = loss_cls + F.binary_cross_entropy_with_logits(logits[image, chosen], truth, reduction="sum")
            targets = self.coder.encode(objects.boxes[matched[positives]], anchors[positives])
            loss_box = loss_box + F.smooth_l1_loss(deltas[image, positives], targets, reduction="sum", beta=self.beta)
        divisor = mean_count(sampled if self.over == "sampled" else self.num_samples * len(sizes), logits)
        return {"loss_rpn_cls": loss_cls / divisor, "loss_rpn_box": loss_box / divisor}

    @torch.no_grad()
    def _match(self, anchors: Tensor, size: tuple[int, int], objects: Instances) -> Tensor:
        from torchvision.ops import box_iou

        part = self._takes_part(anchors, size)
        matched = anchors.new_full((len(anchors),), IGNORED, dtype=torch.long)
        matched[part] = self.matcher(box_iou(objects.boxes, anchors[part]))
        return matched

    def _takes_part(self, anchors: Tensor, size: tuple[int, int]) -> Tensor:
        """Return which anchors are matched at all, bool ``[A]``."""
        part = torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
        if self.padding_divisor is not None:
            height, width = (-(-side // self.padding_divisor) * self.padding_divisor for side in size)
            centres = 0.5 * (anchors[:, :2] + anchors[:, 2:])
            part &= (centres < centres.new_tensor((width, height)) - 0.5).all(dim=1)  # centres are whole pixels
        if self.ignores_crossing:
            part &= (anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2:] < anchors.new_tensor(size[::-1])).all(dim=1)
        return part
