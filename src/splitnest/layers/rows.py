"""Maps of logits at full resolution, a few rows at a time: of a large photograph all of them would fill the memory.

Shapes: K classes, h x w cells of a network's output, H x W pixels.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS_AT_ONCE = 64
"""Rows of pixels whose logits are in memory together."""


class Rows(NamedTuple):
    """A map ``[K, height, width]`` that is computed where it is asked for.

    Attributes:
        get: Gives the rows from the first number to before the second, ``[K, stop - start, width]``.
        height, width: In pixels.
    """

    get: Callable[[int, int], Tensor]
    height: int
    width: int


def whole(maps: Tensor) -> Rows:
    """Return maps ``[K, h, w]`` that are in memory."""
    return Rows(lambda start, stop: maps[:, start:stop], maps.shape[1], maps.shape[2])


def resized(source: Rows, size_hw: tuple[int, int]) -> Rows:
    """Return the rows of ``source``, resized to ``size_hw`` bilinearly, corners not aligned."""
    height, width = size_hw
    if (source.height, source.width) == size_hw:
        return source

    def get(start: int, stop: int) -> Tensor:
        positions = (torch.arange(start, stop, dtype=torch.float64) + 0.5) * (source.height / height) - 0.5
        positions = positions.clamp(0, source.height - 1)
        above = positions.floor().long()
        first, last = int(above[0]), min(int(above[-1]) + 1, source.height - 1)
        rows = source.get(first, last + 1)
        if source.width != width:
            size = rows.shape[1], width
            rows = F.interpolate(rows[None], size=size, mode="bilinear", align_corners=False)[0]
        below = (above + 1).clamp(max=last)
        weight = (positions - above).to(rows)[:, None]
        above, below = (index.to(rows.device) - first for index in (above, below))
        return torch.lerp(rows[:, above], rows[:, below], weight)

    return Rows(get, height, width)


def mirrored(source: Rows) -> Rows:
    """Return the rows of ``source`` with left and right swapped."""
    return source._replace(get=lambda start, stop: source.get(start, stop).flip(-1))


class Placed(NamedTuple):
    """The rows of a window, and where its upper left pixel is."""

    rows: Rows
    top: int
    left: int


def joined(windows: Sequence[Placed], size_hw: tuple[int, int]) -> Rows:
    """Return the mean of ``windows`` where they overlap; together they cover ``size_hw``."""
    height, width = size_hw

    def get(start: int, stop: int) -> Tensor:
        total, count = None, torch.zeros(1, stop - start, width)
        for rows, top, left in windows:
            first, last = max(start, top), min(stop, top + rows.height)
            if first >= last:
                continue
            part = rows.get(first - top, last - top)
            if total is None:
                total, count = part.new_zeros(len(part), stop - start, width), count.to(part)
            place = slice(first - start, last - start), slice(left, left + rows.width)
            total[:, *place] += part
            count[:, *place] += 1
        assert total is not None
        return total / count

    return Rows(get, height, width)


def best_classes(views: Sequence[Rows]) -> Tensor:
    """Return the best class of each pixel, int64 ``[H, W]``; of several views the best by the mean of their scores."""
    height = views[0].height
    strips = []
    for start in range(0, height, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, height)
        strip = views[0].get(start, stop)
        if len(views) > 1:
            strip = strip.softmax(0)
            for view in views[1:]:
                strip += view.get(start, stop).softmax(0)
        strips.append(strip.argmax(0))
    return torch.cat(strips)
