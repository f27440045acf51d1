"""Outlines of masks: one polygon along pixel edges for each mask, for formats without masks and several parts.

COCO's rasterization (``polygons_to_mask``) of an outline is the mask again, to the last pixel.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]


def mask_outline(mask: NDArray[np.bool_]) -> Polygon:
    """Return the outline of a mask, bool ``[H, W]``, as one flat polygon ``[x1, y1, x2, y2, ...]`` in pixels.

    Vertices are corners of pixels. Parts and holes are joined by lines that are passed in both directions, so they have
    no area. An empty mask gives an empty polygon.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros(0)
    corner = np.array([columns[0], rows[0]])
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return join_polygons([(loop + corner).astype(np.float64).ravel() for loop in _loops(part)])


def join_polygons(polygons: Sequence[Polygon]) -> Polygon:
    """Return several polygons as one, joined by lines that are passed in both directions.

    Pixels in an even number of the polygons are outside of the result.
    """
    closed = [np.concatenate([polygon, polygon[:2]]) for polygon in polygons if len(polygon)]
    if len(closed) < 2:
        return np.concatenate([polygon[:-2] for polygon in closed] or [np.zeros(0)])
    return np.concatenate([*closed, *(polygon[:2] for polygon in closed[-2:0:-1]), closed[0][:2]])[:-2]


def _loops(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the closed lines between a mask and its background, corners ``[V, 2]``, topmost corners first.

    Corners of a row are joined in pairs by horizontal edges, those of a column by vertical edges.
    """
    padded = np.pad(mask, 1)
    top_left, top_right = padded[:-1, :-1], padded[:-1, 1:]
    bottom_left, bottom_right = padded[1:, :-1], padded[1:, 1:]
    is_corner = top_left ^ top_right ^ bottom_left ^ bottom_right
    is_crossing = (top_left == bottom_right) & (top_right == bottom_left) & (top_left != top_right)  # two corners
    ys, xs = np.nonzero(is_corner | is_crossing)
    crossing = np.flatnonzero(is_crossing[ys, xs])
    is_second = np.zeros(len(ys) + len(crossing), bool)
    is_second[crossing + np.arange(1, len(crossing) + 1)] = True
    ys, xs = (np.insert(values, crossing + 1, values[crossing]) for values in (ys, xs))
    rows = np.arange(len(ys))  # corners are in the order of y, x
    in_columns = np.lexsort((is_second ^ (is_crossing[ys, xs] & top_right[ys, xs]), ys, xs))
    across = rows ^ 1
    along = np.empty_like(rows)
    along[in_columns] = in_columns[rows ^ 1]
    return [np.column_stack([xs[loop], ys[loop]]) for loop in _cycles(across, along)]


def _cycles(first: NDArray[np.int64], second: NDArray[np.int64]) -> list[list[int]]:
    """Return the cycles of corners that two pairings join in turn."""
    steps, cycles = (first.tolist(), second.tolist()), []
    is_left = [True] * len(first)
    for start in range(len(is_left)):
        if not is_left[start]:
            continue
        cycle, corner, turn = [], start, 0
        while is_left[corner]:
            is_left[corner] = False
            cycle.append(corner)
            corner, turn = steps[turn][corner], 1 - turn
        cycles.append(cycle)
    return cycles
