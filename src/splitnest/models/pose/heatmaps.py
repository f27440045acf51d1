"""Heatmap codec of keypoints (MSRA: Xiao et al. 2018, "Simple Baselines for Human Pose Estimation").

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
    radius = 3 * sigma
    height, width = size_hw
    centers = (keypoints[..., :2] / stride + 0.5).to(torch.int64)  # rounds towards 0, as in mmpose
    limits = torch.tensor([width, height], device=keypoints.device)
    outside = (centers - radius >= limits) | (centers + radius + 1 < 0)
    weights = ((keypoints[..., 2] > 0.5) & ~outside.any(-1)).to(torch.float32)

    def gaussian(side: int, centers: Tensor) -> Tensor:
        distances = (torch.arange(side, device=centers.device) - centers[..., None]).to(torch.float32)
        return torch.exp(-(distances**2) / (2 * sigma**2)) * (distances.abs() <= radius)

    rows, columns = gaussian(height, centers[..., 1]) * weights[..., None], gaussian(width, centers[..., 0])
    return rows[..., :, None] * columns[..., None, :], weights


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
    scores, place = values.max(-1)
    x, y = place % width, place // width

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
