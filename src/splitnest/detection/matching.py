"""Which object a region stands for, and which regions losses are taken of.

Shapes: G objects of an image, R regions (anchors or proposals), S of them sampled.
"""

from typing import NamedTuple

import torch
from torch import Tensor

NEGATIVE, IGNORED = -1, -2


class Matcher:
    """Gives each region the object that it overlaps most, or calls it negative or ignored.

    Args:
        positive: IoU from which a region stands for its object.
        negative: IoU under which a region is background; between the two it is ignored.
        low_quality: An object's best regions stand for it from this IoU on, whatever the other two say; None for never.
        reassigns: Such regions then stand for that object (the last of several), and not for the one that they overlap
            most.
    """

    def __init__(
        self, positive: float, negative: float, low_quality: float | None = None, *, reassigns: bool = False
    ) -> None:
        self.positive, self.negative = positive, negative
        self.low_quality, self.reassigns = low_quality, reassigns

    def __call__(self, iou: Tensor) -> Tensor:
        """Return for ``iou`` ``[G, R]`` the object of each region: int64 ``[R]``, or ``NEGATIVE`` or ``IGNORED``."""
        num_objects, num_regions = iou.shape
        matched = torch.full((num_regions,), NEGATIVE, dtype=torch.long, device=iou.device)
        if not num_objects or not num_regions:
            return matched
        best, objects = iou.max(dim=0)
        matched[best >= self.negative] = IGNORED
        matched = torch.where(best >= self.positive, objects, matched)
        if self.low_quality is not None:
            best_of_object = iou.amax(dim=1, keepdim=True)
            claimed = (iou == best_of_object) & (best_of_object >= self.low_quality)  # [G, R]
            last = num_objects - 1 - claimed.flip(0).long().argmax(dim=0)
            matched = torch.where(claimed.any(dim=0), last if self.reassigns else objects, matched)
        return matched


class Sample(NamedTuple):
    """Indices of regions: ``positives`` ``[S+]`` and ``negatives`` ``[S-]``."""

    positives: Tensor
    negatives: Tensor


def sample(matched: Tensor, num: int, positive_share: float, seed: int | None = None) -> Sample:
    """Choose at random among the regions that are not ignored.

    Args:
        matched: What ``Matcher`` gave, ``[R]``.
        num: How many; negatives fill up what positives leave.
        positive_share: Largest share of positives.
        seed: What is chosen follows from it; None takes torch's random numbers.
    """
    generator = None if seed is None else torch.Generator(matched.device).manual_seed(seed)
    positives = (matched >= 0).nonzero()[:, 0]
    negatives = (matched == NEGATIVE).nonzero()[:, 0]
    positives = _choose(positives, int(num * positive_share), generator)
    return Sample(positives, _choose(negatives, num - len(positives), generator))


def _choose(indices: Tensor, num: int, generator: torch.Generator | None) -> Tensor:
    if len(indices) <= num:
        return indices
    return indices[torch.randperm(len(indices), device=indices.device, generator=generator)[:num]]
