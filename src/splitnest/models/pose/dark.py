"""DARK heatmaps (Zhang et al. 2020, "Distribution-Aware Coordinate Representation for Human Pose Estimation").

Targets are Gaussians at the unrounded keypoints, and peaks are found by a Newton step on the logarithm.

Shapes: N persons, K keypoints, M heatmaps, h x w cells of a heatmap.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.models.pose.blur import Array, Places, log_neighborhood

FLOOR = 1e-10
"""Minimum of blurred heatmaps before their logarithm (``refine_keypoints_dark`` of mmpose)."""


def encode(keypoints: Tensor, size_hw: tuple[int, int], stride: float, sigma: float) -> tuple[Tensor, Tensor]:
    """Return target heatmaps, and the weight of each.

    A target is a Gaussian of height 1 at its keypoint. The target of a keypoint that is not labeled, or is more than
    ``3 * sigma`` cells outside the heatmap, is empty and has weight 0.

    Args:
        keypoints: float32 ``[N, K, 3]``, x and y in pixels of the crop, and visibility, over 0.5 for labeled ones.
        size_hw: h and w.
        stride: Stride of the heatmaps in pixels.
        sigma: Standard deviation of the Gaussian in cells.

    Returns:
        Targets, float32 ``[N, K, h, w]``, and weights, float32 ``[N, K]``, 1 or 0.
    """
    points, radius, (height, width) = keypoints[..., :2] / stride, 3 * sigma, size_hw
    limits = torch.tensor([width, height], device=points.device)
    outside = (points - radius >= limits) | (points + radius + 1 < 0)
    weights = ((keypoints[..., 2] > 0.5) & ~outside.any(-1)).to(torch.float32)

    def gaussian(side: int, axis: int) -> Tensor:
        distances = torch.arange(side, device=points.device, dtype=torch.float32) - points[..., axis, None]
        return torch.exp(-(distances**2) / (2 * sigma**2))

    rows, columns = gaussian(height, 1) * weights[..., None], gaussian(width, 0)
    return rows[..., :, None] * columns[..., None, :], weights


def decode(heatmaps: Tensor, blur_kernel: int) -> tuple[Tensor, Tensor]:
    """Return the peak of each heatmap to fractions of a cell, and its value.

    Derivatives have central differences at distance 1 and second differences at distance 2. Peaks within two cells of
    the border are not refined. A heatmap without positive values has its peak at (-1, -1).

    Args:
        heatmaps: ``[N, K, h, w]``.
        blur_kernel: Side of the blur kernel in cells.

    Returns:
        x and y in cells, ``[N, K, 2]``, and values ``[N, K]``.
    """
    maps, x, y, scores = flat_peaks(heatmaps)
    height, width = maps.shape[-2:]
    values = log_neighborhood(maps, x, y, blur_kernel, 2, (FLOOR, np.inf))

    def at(right: int, down: int) -> NDArray[np.float64]:
        return values[2 + down, 2 + right]

    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
    dyy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    offsets = np.where(inside, newton_step(dx, dy, dxx, dxy, dyy), 0)
    return moved_peaks(heatmaps, x, y, offsets, scores)


def flat_peaks(heatmaps: Tensor) -> tuple[Array, Places, Places, Array]:
    """Return heatmaps ``[N, K, h, w]`` as an array ``[N * K, h, w]``, and column, row and value of the peak of each."""
    maps = heatmaps.detach().flatten(0, 1).cpu().numpy()
    cells = maps.reshape(len(maps), maps.shape[1] * maps.shape[2])
    place = cells.argmax(axis=1)
    y, x = np.divmod(place, maps.shape[-1])
    return maps, x, y, cells[np.arange(len(cells)), place]


def moved_peaks(
    heatmaps: Tensor, x: Places, y: Places, offsets: NDArray[np.float64], scores: Array
) -> tuple[Tensor, Tensor]:
    """Return peaks of ``flat_peaks`` moved by offsets ``[2, N * K]``, and their values, as tensors like the heatmaps.

    Peaks that are not positive are at (-1, -1).
    """
    points = np.where(scores > 0, np.stack((x, y)) + offsets, -1).T.astype(scores.dtype)
    shape = heatmaps.shape[:2]
    return (
        torch.from_numpy(points).view(*shape, 2).to(heatmaps.device),
        torch.from_numpy(scores).view(shape).to(heatmaps.device),
    )


def newton_step(
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    dxx: NDArray[np.float64],
    dxy: NDArray[np.float64],
    dyy: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the step in x and y, ``[2, M]``, to the stationary point of quadratics; 0 where there is none."""
    determinant = dxx * dyy - dxy**2
    step = np.stack((dxy * dy - dyy * dx, dxy * dx - dxx * dy))
    return np.divide(step, determinant, out=np.zeros_like(step), where=determinant != 0)
