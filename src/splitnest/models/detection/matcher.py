"""Matching of anchors or proposals to ground truth, and sampling of positives and negatives.

Shapes: G ground-truth boxes of an image, R regions (anchors or proposals), S of them sampled.
"""

from typing import NamedTuple

import torch
from torch import Tensor

NEGATIVE, IGNORED = -1, -2


class Matcher:
    """Assigns each region to the ground-truth box that it overlaps most, or marks it negative or ignored.

    Args:
        positive_iou: IoU from which a region is positive.
        negative_iou: IoU under which a region is negative; between the two it is ignored.
        low_quality_iou: IoU from which the best regions of a ground-truth box are positive whatever the other two
            thresholds say; None disables such matches.
        low_quality_reassign: Whether such a region is assigned to that box (the last one of several) instead of the box
            that it overlaps most.
    """

    def __init__(
        self,
        positive_iou: float,
        negative_iou: float,
        low_quality_iou: float | None = None,
        *,
        low_quality_reassign: bool = False,
    ) -> None:
        self.positive_iou, self.negative_iou = positive_iou, negative_iou
        self.low_quality_iou, self.low_quality_reassign = low_quality_iou, low_quality_reassign

    def __call__(self, iou: Tensor) -> Tensor:
        """Return the ground-truth index of each region for ``iou`` ``[G, R]``: int64 ``[R]``, NEGATIVE or IGNORED."""
        num_gt, num_regions = iou.shape
        matches = torch.full((num_regions,), NEGATIVE, dtype=torch.long, device=iou.device)
        if not num_gt or not num_regions:
            return matches
        best, gt_index = iou.max(dim=0)
        matches[best >= self.negative_iou] = IGNORED
        matches = torch.where(best >= self.positive_iou, gt_index, matches)
        if self.low_quality_iou is not None:
            best_of_gt = iou.amax(dim=1, keepdim=True)
            claimed = (iou == best_of_gt) & (best_of_gt >= self.low_quality_iou)  # [G, R]
            last = num_gt - 1 - claimed.flip(0).long().argmax(dim=0)
            matches = torch.where(claimed.any(dim=0), last if self.low_quality_reassign else gt_index, matches)
        return matches


class Sample(NamedTuple):
    """Indices of sampled regions: ``positives`` ``[S+]`` and ``negatives`` ``[S-]``."""

    positives: Tensor
    negatives: Tensor


def sample(matches: Tensor, num_samples: int, max_positive_fraction: float, seed: int | None = None) -> Sample:
    """Sample positive and negative regions at random.

    Args:
        matches: Output of ``Matcher``, ``[R]``.
        num_samples: Number of samples; negatives fill up what positives leave.
        max_positive_fraction: Maximum fraction of positives.
        seed: Seed of the sampling; None uses torch's global random state.
    """
    generator = generator_of(seed, matches.device)
    positives = choose((matches >= 0).nonzero()[:, 0], int(num_samples * max_positive_fraction), generator)
    negatives = (matches == NEGATIVE).nonzero()[:, 0]
    return Sample(positives, choose(negatives, num_samples - len(positives), generator))


def generator_of(seed: int | None, device: torch.device) -> torch.Generator | None:
    """Return a random generator with a seed; None, which stands for torch's global one, without a seed."""
    return None if seed is None else torch.Generator(device).manual_seed(seed)


def choose(indices: Tensor, num: int, generator: torch.Generator | None) -> Tensor:
    """Return at most ``num`` random elements of ``indices``; all of them, in their order, if there are no more."""
    if len(indices) <= num:
        return indices
    return indices[torch.randperm(len(indices), device=indices.device, generator=generator)[:num]]
