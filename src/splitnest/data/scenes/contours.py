"""The outline of a mask as polygons, as annotation files keep it."""

import numpy as np

# Directions around a pixel, clockwise in the image: right, down, left, up.
_STEP_X = np.array([1, 0, -1, 0])
_STEP_Y = np.array([0, 1, 0, -1])


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Trace the borders between pixels.

    Polygons know no holes: a mask with one is cut in two through it, and the halves are traced.

    Args:
        mask: bool [H, W].

    Returns:
        Polygons [x1, y1, x2, y2, ...] whose points are corners of pixels; one for each connected part, or several.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    loops = _loops(part)
    for loop in loops:
        if _signed_area(loop) < 0:
            cut = left + int(loop[:, 0].min() + loop[:, 0].max()) // 2
            first, second = mask.copy(), mask.copy()
            first[:, cut:], second[:, :cut] = False, False
            return mask_to_polygons(first) + mask_to_polygons(second)
    return [(loop + np.array([left, top])).astype(float).ravel().tolist() for loop in loops]


def _loops(mask: np.ndarray) -> list[np.ndarray]:
    """The closed borders of a mask, int [V, 2] (x, y) each: clockwise around pixels, the other way around holes."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    # One border edge for each pixel and side that has no neighbour in the mask, named by its first corner.
    leaving = np.zeros((4, height + 1, width + 1), bool)
    leaving[0, :-1, :-1] = inner & ~padded[:-2, 1:-1]
    leaving[1, :-1, 1:] = inner & ~padded[1:-1, 2:]
    leaving[2, 1:, 1:] = inner & ~padded[2:, 1:-1]
    leaving[3, 1:, :-1] = inner & ~padded[1:-1, :-2]
    direction, y, x = np.nonzero(leaving)
    number = np.full(leaving.shape, -1)
    number[direction, y, x] = np.arange(len(direction))
    end_x, end_y = x + _STEP_X[direction], y + _STEP_Y[direction]
    # Turn clockwise first, so that parts that touch at a corner only stay apart.
    following = np.full(len(direction), -1)
    for turn in (1, 0, 3):
        candidate = number[(direction + turn) % 4, end_y, end_x]
        following = np.where(following < 0, candidate, following)
    corner = (direction != direction[following]).tolist()
    ends, successors = np.stack([end_x, end_y], axis=1), following.tolist()
    loops, seen = [], bytearray(len(corner))
    for start in range(len(corner)):
        corners, edge = [], start
        while not seen[edge]:
            seen[edge] = 1
            if corner[edge]:
                corners.append(edge)
            edge = successors[edge]
        if corners:
            loops.append(ends[corners])
    return loops


def _signed_area(loop: np.ndarray) -> int:
    """Area inside a loop, negative where it runs against the clock in the image."""
    x, y = loop.T
    return int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) // 2
