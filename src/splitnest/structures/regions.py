"""Connected regions of label maps.

Shapes: R regions.
"""

import numpy as np
from numpy.typing import NDArray


def connected_regions(values: NDArray[np.integer], unlabeled: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the regions of pixels with one value that touch by their sides.

    Args:
        values: Value of each pixel, ``[H, W]``.
        unlabeled: Value of pixels that are in no region.

    Returns:
        int32 ``[H, W]``, number of the region of each pixel, from 1 in reading order, 0 for unlabeled pixels; and int64
        ``[R]``, the value of each region.
    """
    is_start = np.ones(values.shape, bool)
    is_start[:, 1:] = values[:, 1:] != values[:, :-1]
    run = np.cumsum(is_start.ravel()).reshape(values.shape) - 1  # runs of equal values in a row
    touches = values[1:] == values[:-1]
    joined = np.unique(run[:-1][touches] * run.size + run[1:][touches])
    above, below = joined // max(run.size, 1), joined % max(run.size, 1)
    first = np.arange(int(is_start.sum()))  # lowest run of the region that is known so far
    while True:
        lowest = np.minimum(first[above], first[below])
        nearer = first.copy()
        np.minimum.at(nearer, first[above], lowest)
        np.minimum.at(nearer, first[below], lowest)
        nearer = nearer[nearer]
        if (nearer == first).all():
            break
        first = nearer
    of_run = values[is_start].astype(np.int64)
    is_region = (first == np.arange(len(first))) & (of_run != unlabeled)
    number = np.where(of_run == unlabeled, 0, np.cumsum(is_region)[first] if len(first) else 0)
    return number[run].astype(np.int32), of_run[is_region]
