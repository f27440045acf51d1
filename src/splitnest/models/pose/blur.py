"""Gaussian blur of heatmaps, as OpenCV's ``GaussianBlur`` with an automatic standard deviation.

Shapes: M heatmaps, h x w cells of a heatmap.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_kernel(size: int, like: Tensor) -> Tensor:
    """Return the 1D kernel of an odd size over 7 (OpenCV ``getGaussianKernel`` has tables of smaller ones)."""
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    distances = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-(distances**2) / (2 * sigma**2))
    return (weights / weights.sum()).to(like)


def blur(heatmaps: Tensor, size: int, border: Literal["zero", "reflect"]) -> Tensor:
    """Blur heatmaps ``[M, h, w]``.

    Args:
        heatmaps: Heatmaps.
        size: Side of the kernel in cells.
        border: Values beyond the border: zeros, or the map reflected at its border cells.
    """
    rows, columns = (_blur_matrix(side, size, border, heatmaps) for side in heatmaps.shape[-2:])
    return rows @ heatmaps @ columns.T


def _blur_matrix(side: int, size: int, border: str, like: Tensor) -> Tensor:
    """Return the matrix ``[side, side]`` that blurs a line of cells."""
    sources = torch.arange(side)[:, None] + torch.arange(size) - size // 2
    weights = gaussian_kernel(size, like).expand(side, size)
    if border == "zero":
        weights = weights * ((sources >= 0) & (sources < side)).to(like)
        sources = sources.clamp(0, side - 1)
    else:
        period = max(2 * (side - 1), 1)
        sources = sources.remainder(period)
        sources = torch.where(sources < side, sources, period - sources)
    return like.new_zeros(side, side).scatter_add_(1, sources.to(like.device), weights)


def log_neighborhood(
    heatmaps: Tensor, x: Tensor, y: Tensor, size: int, radius: int, limits: tuple[float, float]
) -> Tensor:
    """Return the logarithm of blurred heatmaps around their peaks.

    Blurred heatmaps have zeros beyond the border and are rescaled to their maximum before the blur. Only the cells
    of the result are blurred: the factor cancels in the derivatives of the logarithm, and whole maps are blurred
    only where values may exceed the limits, for which the factor matters.

    Args:
        heatmaps: Heatmaps ``[M, h, w]``.
        x, y: Column and row of the peak of each, int64 ``[M]``.
        size: Side of the blur kernel in cells.
        radius: Distance of the farthest neighbors in cells.
        limits: Minimum and maximum of the rescaled values before the logarithm.

    Returns:
        float64 ``[M, 2 * radius + 1, 2 * radius + 1]``, around the peaks; cells beyond the border repeat border cells.
    """
    reach, (height, width) = radius + size // 2, heatmaps.shape[-2:]
    around = torch.arange(-reach, reach + 1, device=heatmaps.device)
    rows, columns = y[:, None] + around, x[:, None] + around
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    places = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    window = heatmaps.flatten(1).gather(1, places.flatten(1)).view_as(places).double() * inside
    kernel = gaussian_kernel(size, window)
    taps = torch.stack([functional.pad(kernel, (i, 2 * radius - i)) for i in range(2 * radius + 1)])
    blurred = _repeat_border(taps @ window @ taps.T, x, y, radius, (height, width))
    peaks, center = window[:, reach, reach], blurred[:, radius, radius]
    low, high = limits
    lowest, highest = blurred.amin((1, 2)), blurred.amax((1, 2)) * (peaks / center)
    for row in ((lowest < low) | ~(highest <= high)).nonzero().flatten().split(1024):
        blurred[row] *= (peaks[row] / blur(heatmaps[row], size, "zero").amax((1, 2)))[:, None, None]
    return blurred.clamp(low, high).log()


def _repeat_border(cells: Tensor, x: Tensor, y: Tensor, radius: int, size_hw: tuple[int, int]) -> Tensor:
    """Replace the cells beyond the border, ``[M, n, n]`` around x and y, by the nearest ones inside."""
    around = torch.arange(-radius, radius + 1, device=cells.device)
    rows, columns = (
        (at[:, None] + around).clamp(0, side - 1) - at[:, None] + radius
        for at, side in zip((y, x), size_hw, strict=True)
    )
    sample = torch.arange(len(cells), device=cells.device)[:, None, None]
    return cells[sample, rows[:, :, None], columns[:, None, :]]
