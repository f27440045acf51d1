"""Logits at full resolution, computed a few rows at a time: those of a large image would exhaust the memory.

Shapes: K classes, h x w cells of a network's output, H x W pixels.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS_AT_ONCE = 64
"""Number of rows of pixels whose logits are in memory together."""


class Rows(NamedTuple):
    """Logits ``[K, height, width]`` that are computed on access.

    Attributes:
        get: Function from ``start`` and ``stop`` to the rows between them, ``[K, stop - start, width]``.
        height, width: Size in pixels.
    """

    get: Callable[[int, int], Tensor]
    height: int
    width: int


def whole(logits: Tensor) -> Rows:
    """Return logits ``[K, h, w]`` that are in memory."""
    return Rows(lambda start, stop: logits[:, start:stop], logits.shape[1], logits.shape[2])


def resized(source: Rows, size_hw: tuple[int, int], *, align_corners: bool = False) -> Rows:
    """Return rows resized bilinearly.

    Args:
        source: Rows of logits.
        size_hw: Height and width.
        align_corners: Whether the corner pixels of both sizes are mapped to each other.
    """
    height, width = size_hw
    if (source.height, source.width) == size_hw:
        return source

    def get(start: int, stop: int) -> Tensor:
        positions = torch.arange(start, stop, dtype=torch.float64)
        if align_corners:
            positions *= (source.height - 1) / max(height - 1, 1)
        else:
            positions = (positions + 0.5) * (source.height / height) - 0.5
        positions = positions.clamp(0, source.height - 1)
        above = positions.floor().long()
        first, last = int(above[0]), min(int(above[-1]) + 1, source.height - 1)
        rows = source.get(first, last + 1)
        if source.width != width:
            size = rows.shape[1], width
            rows = F.interpolate(rows[None], size=size, mode="bilinear", align_corners=align_corners)[0]
        below = (above + 1).clamp(max=last)
        weight = (positions - above).to(rows)[:, None]
        above, below = (index.to(rows.device) - first for index in (above, below))
        return torch.lerp(rows[:, above], rows[:, below], weight)

    return Rows(get, height, width)


def flipped(source: Rows) -> Rows:
    """Return rows flipped horizontally."""
    return source._replace(get=lambda start, stop: source.get(start, stop).flip(-1))


class Placed(NamedTuple):
    """Rows of a sliding window, and the position of its upper left pixel."""

    rows: Rows
    top: int
    left: int


def joined(windows: Sequence[Placed], size_hw: tuple[int, int]) -> Rows:
    """Return the rows of an image of this height and width from windows that cover it; overlaps are averaged."""
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
    """Return the best class of each pixel, int64 ``[H, W]``; for several views by the mean of their probabilities."""
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
