"""Losses of heatmaps: sums over all cells, those of ignored keypoints included.

Shapes: N persons, K keypoints, h x w cells of a heatmap.
"""

import torch
from torch import Tensor

ALPHA, OMEGA, EPSILON, THETA = 2.1, 14.0, 1.0, 0.5
"""Parameters of the adaptive wing loss (Wang et al. 2019, section 4.2)."""


def squared_errors(heatmaps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of squared errors, each times the weight of its keypoint.

    Args:
        heatmaps, targets: ``[N, K, h, w]``.
        weights: Weight of each keypoint, ``[N, K]``.
    """
    return ((heatmaps - targets) ** 2 * weights[..., None, None]).sum()


def adaptive_wing(heatmaps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of the adaptive wing loss (Wang et al. 2019); arguments as in ``squared_errors``."""
    targets = targets * weights[..., None, None]
    errors = (targets - heatmaps * weights[..., None, None]).abs()
    power = ALPHA - targets
    at_threshold = (THETA / EPSILON) ** power
    slope = OMEGA / (1 + at_threshold) * power * (THETA / EPSILON) ** (power - 1) / EPSILON
    near = OMEGA * torch.log(1 + (errors / EPSILON) ** power)
    far = slope * errors - (THETA * slope - OMEGA * torch.log(1 + at_threshold))
    return torch.where(errors < THETA, near, far).sum()


def offset_errors(maps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return half the sum of squared errors of disks, and of offsets within the disks (``CombinedTargetMSELoss``).

    Args:
        maps, targets: ``[N, 3 * K, h, w]``, a disk and the offsets in x and y of each keypoint.
        weights: Weight of each keypoint, ``[N, K]``.
    """
    (disks, *offsets), (disk_targets, *offset_targets) = (m.unflatten(1, (-1, 3)).unbind(2) for m in (maps, targets))
    disk_targets = disk_targets * weights[..., None, None]
    total = squared_errors(disks * weights[..., None, None], disk_targets, torch.ones_like(weights))
    for offset, target in zip(offsets, offset_targets, strict=True):
        total = total + ((disk_targets * (offset - target)) ** 2).sum()
    return total / 2
