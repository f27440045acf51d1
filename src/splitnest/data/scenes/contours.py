"""Contour tracing: the polygons of a mask, in the form of COCO annotations."""

import numpy as np

_STEP_X = np.array([1, 0, -1, 0])
_STEP_Y = np.array([0, 1, 0, -1])
"""Directions around a pixel, clockwise in the image: right, down, left, up."""


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Trace the contours of a mask along pixel borders.

    Polygons cannot represent holes, so a mask with a hole is split through the hole, and both halves are traced.

    Args:
        mask: bool ``[H, W]``.

    Returns:
        Polygons ``[x1, y1, x2, y2, ...]``, whose vertices are pixel corners; at least one for each connected component.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    cropped = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    contours = _contours(cropped)
    for contour in contours:
        if _signed_area(contour) < 0:
            cut = left + int(contour[:, 0].min() + contour[:, 0].max()) // 2
            first, second = mask.copy(), mask.copy()
            first[:, cut:], second[:, :cut] = False, False
            return mask_to_polygons(first) + mask_to_polygons(second)
    return [(contour + np.array([left, top])).astype(float).ravel().tolist() for contour in contours]


def _contours(mask: np.ndarray) -> list[np.ndarray]:
    """Return the contours of a mask, each int ``[V, 2]`` (x, y): clockwise around pixels, counterclockwise in holes."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    # One edge for each pixel side without a neighbor in the mask, indexed by direction and first corner.
    is_edge = np.zeros((4, height + 1, width + 1), bool)
    is_edge[0, :-1, :-1] = inner & ~padded[:-2, 1:-1]
    is_edge[1, :-1, 1:] = inner & ~padded[1:-1, 2:]
    is_edge[2, 1:, 1:] = inner & ~padded[2:, 1:-1]
    is_edge[3, 1:, :-1] = inner & ~padded[1:-1, :-2]
    direction, y, x = np.nonzero(is_edge)
    edge_index = np.full(is_edge.shape, -1)
    edge_index[direction, y, x] = np.arange(len(direction))
    end_x, end_y = x + _STEP_X[direction], y + _STEP_Y[direction]
    # Clockwise turns come first, so that components that only share a corner stay separate.
    next_edge = np.full(len(direction), -1)
    for turn in (1, 0, 3):
        candidate = edge_index[(direction + turn) % 4, end_y, end_x]
        next_edge = np.where(next_edge < 0, candidate, next_edge)
    is_corner = (direction != direction[next_edge]).tolist()
    ends, successors = np.stack([end_x, end_y], axis=1), next_edge.tolist()
    contours, visited = [], bytearray(len(is_corner))
    for start in range(len(is_corner)):
        corners, edge = [], start
        while not visited[edge]:
            visited[edge] = 1
            if is_corner[edge]:
                corners.append(edge)
            edge = successors[edge]
        if corners:
            contours.append(ends[corners])
    return contours


def _signed_area(contour: np.ndarray) -> int:
    """Return the area inside a contour, negative if it is counterclockwise in the image."""
    x, y = contour.T
    return int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) // 2
