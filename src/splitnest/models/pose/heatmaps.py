"""Heatmaps of keypoints (Xiao et al. 2018, "Simple Baselines for Human Pose Estimation"): targets, peaks, flips.

Shapes: N persons, K keypoints, h x w cells of a heatmap.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

REFINEMENT = 0.25
"""Shift of a peak towards its higher neighbor in cells (``refine_keypoints`` of mmpose)."""


def encode(keypoints: Tensor, size_hw: tuple[int, int], stride: float, sigma: float) -> tuple[Tensor, Tensor]:
    """Return target heatmaps, and the weight of each.

    A target is a Gaussian of height 1 at the cell nearest to its keypoint, cut off at ``3 * sigma`` cells. The target
    of a keypoint that is not labeled, or whose Gaussian lies outside the heatmap, is empty and has weight 0.

    Args:
        keypoints: float32 ``[N, K, 3]``, x and y in pixels of the crop, and visibility, over 0.5 for labeled ones.
        size_hw: h and w.
        stride: Stride of the heatmaps in pixels.
        sigma: Standard deviation of the Gaussian in cells.

    Returns:
        Targets, float32 ``[N, K, h, w]``, and weights, float32 ``[N, K]``, 1 or 0.
    """
    return gaussian_windows(keypoints[..., :2] / stride, keypoints[..., 2] > 0.5, size_hw, sigma, at_cells=True)


def gaussian_windows(
    points: Tensor, labeled: Tensor, size_hw: tuple[int, int], sigma: float, at_cells: bool
) -> tuple[Tensor, Tensor]:
    """Return Gaussians in windows around the cells nearest to points, and the weight of each.

    Args:
        points: x and y in cells, ``[N, K, 2]``.
        labeled: Whether each keypoint is labeled, bool ``[N, K]``.
        size_hw: h and w.
        sigma: Standard deviation in cells; a window has ``6 * sigma + 1`` cells.
        at_cells: Whether a Gaussian has its center at the nearest cell; otherwise at the point itself.
    """
    radius = 3 * sigma
    height, width = size_hw
    nearest = (points + 0.5).to(torch.int64)  # rounds towards 0, as in mmpose, and so do the two limits
    first, end = (nearest - radius).to(torch.int64), (nearest + radius + 1).to(torch.int64)
    limits = torch.tensor([width, height], device=points.device)
    weights = (labeled & ~((first >= limits) | (end < 0)).any(-1)).to(torch.float32)
    centers = (first + int(2 * radius + 1) // 2).to(points.dtype)
    if not at_cells:
        centers = centers + (points - nearest)

    def gaussian(side: int, axis: int) -> Tensor:
        cells = torch.arange(side, device=points.device)
        distances = (cells - centers[..., axis, None]).to(torch.float32)
        inside = (cells >= first[..., axis, None]) & (cells < end[..., axis, None])
        return torch.exp(-(distances**2) / (2 * sigma**2)) * inside

    rows, columns = gaussian(height, 1) * weights[..., None], gaussian(width, 0)
    return rows[..., :, None] * columns[..., None, :], weights


def peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return column, row and value of the highest cell of each heatmap ``[..., h, w]``, the first of equal ones."""
    scores, place = heatmaps.flatten(-2).max(-1)
    width = heatmaps.shape[-1]
    return place % width, place // width, scores


def decode(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the peak of each heatmap, shifted a quarter cell towards its higher neighbors, and its value.

    Peaks on the border are not shifted, and neither horizontally in the column next to the left border nor vertically
    in the row next to the top one. A heatmap without positive values has its peak at (-1, -1).

    Args:
        heatmaps: ``[N, K, h, w]``.

    Returns:
        x and y in cells, ``[N, K, 2]``, and values ``[N, K]``.
    """
    height, width = heatmaps.shape[-2:]
    values = heatmaps.flatten(-2)
    x, y, scores = peaks(heatmaps)
    place = y * width + x

    def step(inside: Tensor, distance: int) -> Tensor:
        places = torch.stack((place - distance, place + distance), -1).clamp(0, height * width - 1)
        before, after = values.gather(-1, places).unbind(-1)
        return REFINEMENT * torch.where(inside, (after - before).sign(), 0)

    # mmpose (codecs/utils/refinement.py): 1 < x < w - 1 and 0 < y < h, and likewise for y
    step_x = step((x > 1) & (x < width - 1) & (y > 0), 1)
    step_y = step((y > 1) & (y < height - 1) & (x > 0), width)
    refined = torch.stack((x + step_x, y + step_y), -1)
    return torch.where(scores[..., None] > 0, refined, -1), scores


def flip_back(heatmaps: Tensor, flip_indices: Sequence[int], shift: bool) -> Tensor:
    """Return the heatmaps of a horizontally flipped image as those of the image itself.

    Args:
        heatmaps: ``[N, K, h, w]``.
        flip_indices: Keypoint that each keypoint becomes under a horizontal flip, K of them.
        shift: Whether to shift them right by one cell, which aligns them: a crop is flipped at its last pixel, so cell
            0 corresponds to the last but three pixels of the crop (stride 4).
    """
    flipped = heatmaps.flip(-1)[:, list(flip_indices)]
    if shift:
        flipped = torch.cat((flipped[..., :1], flipped[..., :-1]), -1)
    return flipped
