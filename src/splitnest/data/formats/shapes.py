"""Shapes that annotation tools draw, as instances in COCO's form."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.structures import polygons
from splitnest.structures.masks import mask_to_rle

MIN_VERTICES = 12
"""Minimum number of vertices of a circle."""


def box(x1: float, y1: float, x2: float, y2: float) -> dict[str, Any]:
    """Return an instance with a box between two opposite corners in pixels, in any order."""
    left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    return {"bbox": [left, top, right - left, bottom - top]}


def polygon_instance(parts: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Return an instance of one or more polygons, each flat ``[x, y, x, y, ...]`` in pixels, with its bounding box.

    Raises:
        ValueError: A polygon has fewer than three vertices.
    """
    for part in parts:
        if len(part) < 6 or len(part) % 2:
            raise ValueError(f"a polygon has {len(part) // 2} vertices, and needs at least 3")
    x1, y1, x2, y2 = polygons.bounding_box(parts).tolist()
    return {
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": sum(polygons.area(part) for part in parts),
        "segmentation": [part.tolist() for part in parts],
    }


def mask_instance(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an instance with a mask of the whole image, bool ``[H, W]``, and the box of its pixels.

    Raises:
        ValueError: The mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("the mask has no pixels")
    x, y = int(columns[0]), int(rows[0])
    return {
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(mask.sum()),
        "segmentation": mask_to_rle(mask),
    }


def pasted(mask: NDArray[np.bool_], left: int, top: int, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask of the whole image from one of a part, whose top left pixel is given; the rest is cut off."""
    image = np.zeros(size_hw, bool)
    x, y = max(left, 0), max(top, 0)
    part = mask[y - top :, x - left :][: max(size_hw[0] - y, 0), : max(size_hw[1] - x, 0)]
    image[y : y + part.shape[0], x : x + part.shape[1]] = part
    return image


def ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0) -> NDArray[np.float64]:
    """Return the polygon of an ellipse, whose vertices are less than half a pixel off, flat ``[x, y, ...]``.

    Args:
        x, y: Center in pixels.
        radius_x, radius_y: Radii in pixels.
        degrees: Rotation, clockwise in the image.

    Raises:
        ValueError: A number is not finite, or a radius is not positive.
    """
    numbers = (x, y, radius_x, radius_y, degrees)
    if not all(map(math.isfinite, numbers)) or min(radius_x, radius_y) <= 0:
        raise ValueError(f"an ellipse has center and radii {numbers[:4]}")
    radius = min(max(radius_x, radius_y), 1e6)
    count = MIN_VERTICES if radius <= 1 else max(MIN_VERTICES, math.ceil(math.pi / math.acos(1 - 0.5 / radius)))
    angles = np.arange(count) * (2 * math.pi / count)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along, across = radius_x * np.cos(angles), radius_y * np.sin(angles)
    return np.stack([x + along * cos - across * sin, y + along * sin + across * cos], axis=1).ravel()
