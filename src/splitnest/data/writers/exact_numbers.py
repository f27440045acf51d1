"""Numbers of formats with relative coordinates, chosen so that pixels are read back as they were."""

import math
from collections.abc import Callable

RASTER_SCALE = 5
"""Steps in a pixel to which COCO's rasterization rounds the corners of a polygon (pycocotools, ``rleFrPoly``)."""


def invertible(value: float, start: float, read: Callable[[float], float]) -> float:
    """Return a number that is read as a value, or, if there is none, as a neighbor that is rasterized alike.

    Args:
        value: Coordinate in pixels.
        start: Number that is read as about the value.
        read: Function from a number of the file to pixels, as the reader of the format computes it.
    """
    lower, upper = math.nextafter(start, -math.inf), math.nextafter(start, math.inf)
    candidates = (start, upper, lower, math.nextafter(upper, math.inf), math.nextafter(lower, -math.inf))
    exact = next((number for number in candidates if read(number) == value), None)
    if exact is not None:
        return exact
    alike = (number for number in candidates if _raster(read(number)) == _raster(value))
    return next(alike, start)


def _raster(value: float) -> int:
    return math.floor(RASTER_SCALE * value + 0.5)
