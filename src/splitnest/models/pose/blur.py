"""Gaussian blur of heatmaps, as OpenCV's ``GaussianBlur`` with an automatic standard deviation.

Shapes: M heatmaps, h x w cells of a heatmap.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.floating[Any]]
Places = NDArray[np.intp]


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
    heatmaps: Array, x: Places, y: Places, size: int, radius: int, limits: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the logarithm of blurred heatmaps around their peaks.

    Blurred heatmaps have zeros beyond the border and are rescaled to their maximum before the blur. Only the cells
    of the result are blurred: the factor cancels in the derivatives of the logarithm, and whole maps are blurred
    only where values may exceed the limits, for which the factor matters. It runs in NumPy, as all of it is small: the
    threads of torch would take longer to start than to compute.

    Args:
        heatmaps: Heatmaps ``[M, h, w]``.
        x, y: Column and row of the peak of each, ``[M]``.
        size: Side of the blur kernel in cells.
        radius: Distance of the farthest neighbors in cells.
        limits: Minimum and maximum of the rescaled values before the logarithm.

    Returns:
        ``[2 * radius + 1, 2 * radius + 1, M]``, around the peaks; cells beyond the border repeat border cells.
    """
    reach, side = radius + size // 2, 2 * radius + 1
    window = _window(heatmaps, x, y, reach)
    kernel = gaussian_kernel(size, torch.zeros((), dtype=torch.float64)).numpy()
    taps = np.stack([np.pad(kernel, (i, side - 1 - i)) for i in range(side)])
    rows = (taps @ window.swapaxes(0, 1)).swapaxes(0, 1)
    blurred = _repeat_border(taps @ rows, x, y, radius, heatmaps.shape[-2:])
    peaks, center = window[reach, reach], blurred[radius, radius]
    low, high = limits
    with np.errstate(divide="ignore", invalid="ignore"):
        lowest, highest = blurred.min((0, 1)), blurred.max((0, 1)) * (peaks / center)
    for part in _parts(np.flatnonzero((lowest < low) | ~(highest <= high)), 1024):
        whole = blur(torch.from_numpy(heatmaps[part]), size, "zero").amax((1, 2)).numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            blurred[..., part] *= peaks[part] / whole
    return np.log(blurred.clip(low, high, out=blurred), out=blurred)


def _window(heatmaps: Array, x: Places, y: Places, reach: int) -> NDArray[np.float64]:
    """Return the cells around x and y, ``[n, n, M]``; zeros beyond the border."""
    height, width = heatmaps.shape[-2:]
    around = np.arange(-reach, reach + 1)[:, None]
    rows, columns = y + around, x + around
    places = (rows.clip(0, height - 1) * width + np.arange(len(heatmaps)) * (height * width))[:, None]
    window = heatmaps.reshape(-1).take(places + columns.clip(0, width - 1)).astype(np.float64)
    for axis, (at, side) in enumerate(((rows, height), (columns, width))):
        inside = (at >= 0) & (at < side)
        if not inside.all():
            window *= np.expand_dims(inside, 1 - axis)
    return window


def _repeat_border(
    cells: NDArray[np.float64], x: Places, y: Places, radius: int, size_hw: Sequence[int]
) -> NDArray[np.float64]:
    """Replace the cells beyond the border, ``[n, n, M]`` around x and y, by the nearest ones inside."""
    around = np.arange(-radius, radius + 1)[:, None]
    rows, columns = ((at + around).clip(0, side - 1) - at + radius for at, side in zip((y, x), size_hw, strict=True))
    if (rows == around + radius).all() and (columns == around + radius).all():
        return cells
    return cells[rows[:, None], columns[None], np.arange(cells.shape[-1])]


def _parts(rows: NDArray[np.intp], length: int) -> Iterator[NDArray[np.intp]]:
    """Yield parts of rows of a maximum length."""
    return (rows[start : start + length] for start in range(0, len(rows), length))
