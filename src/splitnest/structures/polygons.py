"""Polygons in the form of COCO annotations: flat ``[x1, y1, x2, y2, ...]``, implicitly closed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]


def area(polygon: Polygon) -> float:
    """Return the area of a polygon in square pixels (shoelace formula)."""
    x, y = polygon[0::2], polygon[1::2]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def bounding_box(polygons: Sequence[Polygon]) -> NDArray[np.float64]:
    """Return the bounding box of several polygons, ``[4]``, xyxy."""
    points = np.concatenate(polygons).reshape(-1, 2)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def clip(polygon: Polygon, size_hw: tuple[int, int]) -> Polygon:
    """Clip a polygon to an image (Sutherland-Hodgman algorithm, 1974).

    Parts that the image border separates stay connected along the border by edges without area.

    Args:
        polygon: Polygon in pixels.
        size_hw: Height and width of the image in pixels.

    Returns:
        Polygon in pixels; empty if it is outside the image.
    """
    points = polygon.reshape(-1, 2)
    height, width = size_hw
    for axis, limit, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        depth = sign * (points[:, axis] - limit)
        if (depth >= 0).all():
            continue
        next_points, next_depth = np.roll(points, -1, axis=0), np.roll(depth, -1)
        inside = depth >= 0
        crosses = inside != (next_depth >= 0)
        fraction = np.divide(depth, depth - next_depth, out=np.zeros_like(depth), where=crosses)
        on_border = points + fraction[:, None] * (next_points - points)
        on_border[:, axis] = limit
        points = np.stack([points, on_border], axis=1)[np.stack([inside, crosses], axis=1)]
    return points.ravel()
