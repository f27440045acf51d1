"""UDP heatmaps (Huang et al. 2020, "The Devil is in the Details: Delving into Unbiased Data Processing").

Lengths are measured between the centers of the first and last cell or pixel, so flips need no shift. A keypoint has one
heatmap, or three maps: a disk around it, and the offsets in x and y to it, in units of the radius of the disk.

Shapes: N persons, K keypoints, h x w cells of a heatmap, H x W pixels of the crop.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.models.pose.blur import blur, log_neighborhood
from splitnest.models.pose.dark import flat_peaks, moved_peaks, newton_step
from splitnest.models.pose.heatmaps import gaussian_windows, peaks

LIMITS = 1e-3, 50.0
"""Limits of blurred heatmaps before their logarithm (``refine_keypoints_dark_udp`` of mmpose)."""

RADIUS = 0.0546875
"""Radius of the disk relative to the longer side of the heatmap (``UDPHeatmap`` of mmpose)."""

EPSILON = float(torch.finfo(torch.float32).eps)
"""Addition to the diagonal of the Hessian (same source as ``LIMITS``)."""


def encode(
    keypoints: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int], sigma: float
) -> tuple[Tensor, Tensor]:
    """Return target heatmaps, and the weight of each.

    A target is a Gaussian of height 1 at its keypoint, cut off at ``3 * sigma`` cells from the nearest cell. The target
    of a keypoint that is not labeled, or whose Gaussian lies outside the heatmap, is empty and has weight 0.

    Args:
        keypoints: float32 ``[N, K, 3]``, x and y in pixels of the crop, and visibility, over 0.5 for labeled ones.
        size_hw: h and w.
        input_hw: H and W.
        sigma: Standard deviation of the Gaussian in cells.

    Returns:
        Targets, float32 ``[N, K, h, w]``, and weights, float32 ``[N, K]``, 1 or 0.
    """
    points = _to_cells(keypoints[..., :2], size_hw, input_hw)
    return gaussian_windows(points, keypoints[..., 2] > 0.5, size_hw, sigma, at_cells=False)


def encode_offsets(keypoints: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return target disks and offsets, and the weight of each keypoint: 1 if it is labeled.

    Args:
        keypoints: float32 ``[N, K, 3]``, as in ``encode``.
        size_hw: h and w.
        input_hw: H and W.

    Returns:
        Targets, float32 ``[N, 3 * K, h, w]``, and weights, float32 ``[N, K]``, 1 or 0.
    """
    (height, width), labeled = size_hw, (keypoints[..., 2] > 0.5).to(torch.float32)
    points = _to_cells(keypoints[..., :2], size_hw, input_hw)
    x, y = (
        (points[..., axis, None] - torch.arange(side, device=points.device)) / (RADIUS * max(size_hw))
        for axis, side in ((0, width), (1, height))
    )
    offsets_x, offsets_y = torch.broadcast_tensors(x[..., None, :], y[..., :, None])
    disks = (offsets_x**2 + offsets_y**2 <= 1).to(points.dtype)
    maps = torch.stack((disks, offsets_x, offsets_y), 2) * labeled[..., None, None, None]
    return maps.flatten(1, 2).to(torch.float32), labeled


def decode(heatmaps: Tensor, blur_kernel: int) -> tuple[Tensor, Tensor]:
    """Return the peak of each heatmap to fractions of a cell, and its value.

    A heatmap without positive values has its peak at (-1, -1).

    Args:
        heatmaps: ``[N, K, h, w]``.
        blur_kernel: Side of the blur kernel in cells.

    Returns:
        x and y in cells, ``[N, K, 2]``, and values ``[N, K]``.
    """
    maps, x, y, scores = flat_peaks(heatmaps)
    values = log_neighborhood(maps, x, y, blur_kernel, 1, LIMITS)

    def at(right: int, down: int) -> NDArray[np.float64]:
        return values[1 + down, 1 + right]

    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    mixed = at(1, 1) - at(1, 0) - at(0, 1) + 2 * at(0, 0) - at(-1, 0) - at(0, -1) + at(-1, -1)
    offsets = newton_step(dx, dy, dxx + EPSILON, mixed / 2, dyy + EPSILON)
    return moved_peaks(heatmaps, x, y, offsets, scores)


def decode_offsets(maps: Tensor, blur_kernel: int) -> tuple[Tensor, Tensor]:
    """Return the keypoint that each disk's blurred peak and the offsets there point to, and the peak's value.

    A disk without positive values has its keypoint at (-1, -1).

    Args:
        maps: ``[N, 3 * K, h, w]``.
        blur_kernel: Half side of the blur kernel in cells; the kernel has ``2 * blur_kernel + 1``.

    Returns:
        x and y in cells, ``[N, K, 2]``, and values ``[N, K]``.
    """
    height, width = maps.shape[-2:]
    disks, *offsets = maps.unflatten(1, (-1, 3)).unbind(2)
    blurred = blur(disks.flatten(0, 1), 2 * blur_kernel + 1, "reflect").view_as(disks)
    x, y, scores = peaks(blurred)
    place = (y * width + x)[..., None]
    steps = [offset.flatten(-2).gather(-1, place)[..., 0] * (RADIUS * max(height, width)) for offset in offsets]
    points = torch.stack((x, y), -1) + torch.stack(steps, -1)
    return torch.where(scores[..., None] > 0, points, -1), scores


def to_pixels(points: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> Tensor:
    """Return points in cells, ``[..., 2]``, as parts of the sides of the crop, in pixels (``UDPHeatmap`` of mmpose)."""
    last, sides = (
        points.new_tensor([width - cut, height - cut]) for (height, width), cut in ((size_hw, 1), (input_hw, 0))
    )
    return points / last * sides


def _to_cells(points: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> Tensor:
    """Return points in pixels of the crop, ``[..., 2]``, in cells."""
    cells, pixels = (points.new_tensor([width - 1, height - 1]) for height, width in (size_hw, input_hw))
    return points / (pixels / cells)
