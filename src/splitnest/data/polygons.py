"""Polygons as annotation files keep them: flat ``[x, y, x, y, ...]``, closed from the last point to the first."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]


def area(polygon: Polygon) -> float:
    """Return the area inside, in the square of the unit of its points (shoelace formula)."""
    x, y = polygon[0::2], polygon[1::2]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def hull(polygons: Sequence[Polygon]) -> NDArray[np.float64]:
    """Return the box around all points, xyxy."""
    points = np.concatenate(polygons).reshape(-1, 2)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def clip(polygon: Polygon, size_hw: tuple[int, int]) -> Polygon:
    """Return the part inside an image, cut exactly at its border (Sutherland and Hodgman 1974).

    Parts that the border separates stay joined along it by lines without area.

    Args:
        polygon: Points in pixels.
        size_hw: Height and width of the image in pixels.

    Returns:
        Points in pixels; none where nothing is inside.
    """
    points = polygon.reshape(-1, 2)
    height, width = size_hw
    for axis, limit, inward in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        depth = inward * (points[:, axis] - limit)
        if (depth >= 0).all():
            continue
        following, following_depth = np.roll(points, -1, axis=0), np.roll(depth, -1)
        inside = depth >= 0
        crosses = inside != (following_depth >= 0)
        share = np.divide(depth, depth - following_depth, out=np.zeros_like(depth), where=crosses)
        on_border = points + share[:, None] * (following - points)
        on_border[:, axis] = limit
        points = np.stack([points, on_border], axis=1)[np.stack([inside, crosses], axis=1)]
    return points.ravel()
