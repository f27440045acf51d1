"""Input size and anchors that fit the boxes of a dataset."""

import math
from dataclasses import dataclass

import numpy as np

from splitnest.data.recognition.recognized import SplitContent
from splitnest.recipe.detector import ANCHOR_SIZES

MIN_BOX_SIDE = 16.0
"""Side in pixels of the network's input that small boxes should have, if the input can be as large."""

SMALL = 10
"""Percentile of the box sides that counts as small."""


@dataclass(frozen=True)
class Sizes:
    """Typical sizes of a dataset in pixels.

    Attributes:
        short, long: Median short and long side of the images.
        small, median: Square root of the area of a small and of a median box.
        most: Maximum number of boxes of an image.
    """

    short: int
    long: int
    small: float
    median: float
    most: int


def sizes_of(content: SplitContent) -> Sizes:
    """Return the typical sizes of a split with boxes."""
    known = content.sizes_hw[(content.sizes_hw > 0).all(axis=1)]
    sides = np.sort(known, axis=1) if len(known) else np.array([[480, 640]])
    boxes = content.boxes_wh[(content.boxes_wh[:, 1:] > 0).all(axis=1)]
    roots = np.sqrt(boxes[:, 1] * boxes[:, 2]) if len(boxes) else np.array([64.0])
    short, long = (int(side) for side in np.median(sides, axis=0))
    most = int(np.bincount(content.boxes_wh[:, 0].astype(int)).max(initial=0)) if len(content.boxes_wh) else 0
    return Sizes(short, long, float(np.percentile(roots, SMALL)), float(np.median(roots)), most)


def short_side(sizes: Sizes, usual: int, maximum: int) -> int:
    """Return the short side of the input: the usual one, or more where small boxes would be too small.

    Args:
        sizes: Typical sizes of the dataset.
        usual: Short side for boxes that are large enough.
        maximum: Maximum short side.
    """
    needed = sizes.short * MIN_BOX_SIDE / sizes.small
    return min(maximum, max(usual, math.ceil(needed / 32) * 32))


def anchor_sizes(sizes: Sizes, scale: float) -> tuple[float, ...] | None:
    """Return the anchor sizes for boxes in the input, smallest first; None for the usual ones.

    Args:
        sizes: Typical sizes of the dataset.
        scale: Factor by which images are resized.
    """
    first = 2.0 ** min(5, max(3, round(math.log2(max(sizes.small * scale, 1.0)))))
    chosen = tuple(first * 2**level for level in range(len(ANCHOR_SIZES)))
    return None if chosen == tuple(ANCHOR_SIZES) else chosen


def multi_scale(short: int) -> list[int]:
    """Return three short sides for multi-scale training, 10% around one, as multiples of 2."""
    return [round(short * factor / 2) * 2 for factor in (0.9, 1.0, 1.1)]
