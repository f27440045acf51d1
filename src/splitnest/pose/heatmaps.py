"""Keypoints as peaks of heatmaps and back (MSRA's codec: Xiao et al. 2018, "Simple Baselines for Human Pose").

N people, K keypoints, h x w cells of a heatmap.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

REFINEMENT = 0.25
"""Cells by which a peak moves towards its higher neighbour (``refine_keypoints`` of mmpose)."""


def encode(keypoints: Tensor, size_hw: tuple[int, int], stride: float, sigma: float) -> tuple[Tensor, Tensor]:
    """Return the heatmaps that a network should give, and which of them count.

    A peak is at the cell nearest to its keypoint, 1 high, and ends ``3 * sigma`` cells from there. A keypoint that is
    not labelled, or whose whole peak is outside, has an empty heatmap and does not count.

    Args:
        keypoints: float32 ``[N, K, 3]``, x and y in pixels of the crop, and over 0.5 where it is labelled.
        size_hw: h and w.
        stride: Pixels of a cell.
        sigma: Standard deviation of a peak in cells.

    Returns:
        float32 ``[N, K, h, w]``, and float32 ``[N, K]``, 1 where it counts and otherwise 0.
    """
    radius = 3 * sigma
    height, width = size_hw
    centers = (keypoints[..., :2] / stride + 0.5).to(torch.int64)  # rounds towards 0, as mmpose does
    limits = torch.tensor([width, height], device=keypoints.device)
    outside = (centers - radius >= limits) | (centers + radius + 1 < 0)
    weights = ((keypoints[..., 2] > 0.5) & ~outside.any(-1)).to(torch.float32)

    def along(side: int, centers: Tensor) -> Tensor:
        distances = (torch.arange(side, device=centers.device) - centers[..., None]).to(torch.float32)
        return torch.exp(-(distances**2) / (2 * sigma**2)) * (distances.abs() <= radius)

    rows, columns = along(height, centers[..., 1]) * weights[..., None], along(width, centers[..., 0])
    return rows[..., :, None] * columns[..., None, :], weights


def decode(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the highest cell of each heatmap is, moved a quarter towards its higher neighbours, and its value.

    Cells of the border are not moved, nor those beside the left one to left or right and those beside the upper one up
    or down. Where nothing is over 0, the place is (-1, -1).

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

    # mmpose (codecs/utils/refinement.py): 1 < x < w - 1 and 0 < y < h, and the other way round
    step_x = step((x > 1) & (x < width - 1) & (y > 0), 1)
    step_y = step((y > 1) & (y < height - 1) & (x > 0), width)
    refined = torch.stack((x + step_x, y + step_y), -1)
    return torch.where(scores[..., None] > 0, refined, -1), scores


def mirror(heatmaps: Tensor, swaps: Sequence[int], shift: bool) -> Tensor:
    """Turn the heatmaps of a mirror image into those of the image itself.

    Args:
        heatmaps: ``[N, K, h, w]``.
        swaps: The keypoint that each one is in the mirror, K of them.
        shift: Move them right by one cell, which aligns them with the image's own: a crop mirrors to its last pixel,
            cell 0 to the last but three pixels of the crop (stride 4).
    """
    mirrored = heatmaps.flip(-1)[:, list(swaps)]
    if shift:
        mirrored = torch.cat((mirrored[..., :1], mirrored[..., :-1]), -1)
    return mirrored
