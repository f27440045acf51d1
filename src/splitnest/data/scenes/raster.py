"""Antialiased rasterization of many polygons at once, bit-identical on any machine.

Vertices are rounded to 1/64 pixel, and the coverage of a pixel is measured on four scanlines in steps of 1/64. All
operations are basic arithmetic with results that IEEE 754 defines exactly: no sine, no exponential, no matrix product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SCANLINES = 4
"""Number of scanlines per pixel row on which coverage is measured."""

SUBPIXELS = 64
"""Number of steps per pixel that vertices and crossings are rounded to."""


@dataclass(frozen=True)
class Patch:
    """Coverage of the pixels in the bounding box of a polygon.

    Attributes:
        rows, columns: Bounding box in the image.
        coverage: float32 ``[h, w]``, from 0 to 1.
    """

    rows: slice
    columns: slice
    coverage: np.ndarray


def rasterize(polygons: Sequence[np.ndarray], image_size: tuple[int, int]) -> list[Patch]:
    """Rasterize polygons.

    Every edge is intersected with the scanlines that it crosses. A crossing changes the coverage of all pixels to its
    right, by +1 for a downward edge and -1 for an upward edge. These changes are accumulated in one array for all
    polygons, whose running sum is the coverage. The changes on a scanline sum to zero, so polygons stay independent.

    Args:
        polygons: float ``[V, 2]`` each, x and y in pixels, closed; clipped to the image. Self-intersecting polygons are
            filled by the nonzero winding rule.
        image_size: Height and width in pixels.

    Returns:
        One patch for each polygon, empty for a polygon outside the image.
    """
    height, width = image_size
    counts = np.array([len(polygon) for polygon in polygons])
    ends = np.cumsum(counts)
    starts = ends - counts
    points = np.rint(np.concatenate(polygons) * SUBPIXELS) / SUBPIXELS
    next_point = np.arange(1, len(points) + 1)
    next_point[ends - 1] = starts
    (x_from, y_from), (x_to, y_to) = points.T, points[next_point].T

    limit = np.array([width, height])
    low = np.clip(np.floor(np.minimum.reduceat(points, starts)), 0, limit).astype(np.int64)
    high = np.clip(np.ceil(np.maximum.reduceat(points, starts)), 0, limit).astype(np.int64)
    (left, top), (columns, rows) = low.T, np.maximum(high - low, 0).T
    stride = columns + 2
    sizes = rows * stride
    offsets = np.cumsum(sizes) - sizes

    owner = np.repeat(np.arange(len(polygons)), counts)
    bounds = top[owner] * SCANLINES, (top + rows)[owner] * SCANLINES
    first = np.clip(np.ceil(np.minimum(y_from, y_to) * SCANLINES - 0.5), *bounds).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y_from, y_to) * SCANLINES - 0.5), *bounds).astype(np.int64)
    crossed = last - first
    edge = np.repeat(np.arange(len(points)), crossed)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + first[edge]

    rise = y_to - y_from
    slope = (x_to - x_from) / np.where(rise == 0, 1, rise)
    x = x_from[edge] + ((line + 0.5) / SCANLINES - y_from[edge]) * slope[edge]
    polygon = owner[edge]
    step = np.rint(np.clip(x - left[polygon], 0, columns[polygon]) * SUBPIXELS).astype(np.int64)
    position = offsets[polygon] + (line // SCANLINES - top[polygon]) * stride[polygon] + step // SUBPIXELS
    sign = np.where(rise > 0, 1, -1)[edge]
    total = int(sizes.sum())
    change = np.bincount(position, sign * (SUBPIXELS - step % SUBPIXELS), minlength=total)
    change += np.bincount(position + 1, sign * (step % SUBPIXELS), minlength=total)
    coverage = np.minimum(np.abs(np.cumsum(change)) * (1 / (SCANLINES * SUBPIXELS)), 1).astype(np.float32)

    return [
        Patch(slice(y, y + h), slice(x, x + w), coverage[offset : offset + h * (w + 2)].reshape(h, w + 2)[:, :w])
        for x, y, w, h, offset in zip(
            left.tolist(), top.tolist(), columns.tolist(), rows.tolist(), offsets.tolist(), strict=True
        )
    ]
