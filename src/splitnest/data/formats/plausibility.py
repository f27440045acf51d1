"""Plausibility of the numbers of annotations: finite, and not too large to be rasterized."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile, span

MAX_COORDINATE = 1_000_000
"""Maximum absolute coordinate in pixels; images with a longer side have too few pixels in the other one."""

MAX_PERIMETER = 4 * MAX_COORDINATE
"""Maximum length of a polygon in pixels; rasterizing takes time and memory in proportion."""


def implausible(file: AnnotationFile) -> Iterator[tuple[int, str]]:
    """Yield annotations with numbers that are not finite or not plausible, and the reason."""
    areas = file.areas[:, None]
    for key, numbers, limit in (("bbox", file.boxes_xywh, MAX_COORDINATE), ("area", areas, MAX_COORDINATE**2)):
        is_wrong = ~(np.abs(numbers) <= limit)  # NaN too
        for row in np.flatnonzero(is_wrong.any(axis=1)).tolist():
            value = numbers[row][is_wrong[row]][0]
            yield row, f"{key!r} has the number {value:g}, which is not finite or larger than {limit:,}"
    masks = file.segmentations
    largest = float(np.maximum(np.max(masks.coordinates, initial=0), -np.min(masks.coordinates, initial=0)))  # or NaN
    lengths = np.diff(masks.polygon_ends, prepend=0)
    is_plausible = lengths * largest <= MAX_PERIMETER if largest <= MAX_COORDINATE else np.zeros(len(lengths), bool)
    for polygon in np.flatnonzero(~is_plausible).tolist():
        coordinates = masks.coordinates[span(masks.polygon_ends, polygon)]
        row = int(np.searchsorted(masks.annotation_ends, polygon, side="right"))
        wrong = coordinates[~(np.abs(coordinates) <= MAX_COORDINATE)]
        if len(wrong):
            yield (
                row,
                f"'segmentation' has the number {wrong[0]:g}, which is not finite or larger than {MAX_COORDINATE:,}",
            )
        elif (perimeter := _perimeter(coordinates)) > MAX_PERIMETER:
            yield row, f"'segmentation' has a polygon {perimeter:,.0f} pixels long, more than {MAX_PERIMETER:,}"


def _perimeter(coordinates: NDArray[np.float64]) -> float:
    """Return the length of a polygon in pixels, diagonal ones counting once."""
    points = coordinates[: len(coordinates) // 2 * 2].reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1, initial=0).sum())
