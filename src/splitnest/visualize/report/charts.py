"""Bars, histograms and co-occurrence matrices of a report page, as SVG.

Shapes: L labels.
"""

import html
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_NAME, LETTER = 24, 6.2
"""Number of letters of a name that are shown, and width of one, in units of the drawing."""

CELL = 34
"""Side of a cell of a matrix."""

_NUM_COLORS = 10


MIN_BAR_WIDTH = 520
"""Width in pixels under which a chart of bars is scrolled: its text would be too small."""


def bar_chart(labels: Sequence[str], series: Sequence[tuple[str, Sequence[int]]], width: int = 620) -> str:
    """Return a horizontal bar for each label, with stacked parts for several series.

    Args:
        labels: L labels.
        series: Name and L counts of each series.
        width: Width of the drawing.
    """
    left = _room(labels)
    totals = [sum(counts[row] for _, counts in series) for row in range(len(labels))]
    scale = (width - left - 60) / max([*totals, 1])
    parts = []
    for row, label in enumerate(labels):
        x, y = left, 21 * row + 2
        parts.append(_text(left - 7, y + 12, _short(label), "end"))
        for number, (name, counts) in enumerate(series):
            tip = f"{label}: {counts[row]:,}" + (f" in {name}" if len(series) > 1 else "")
            parts.append(_rect(x, y, counts[row] * scale, 16, f"var(--c{number % _NUM_COLORS})", tip))
            x += counts[row] * scale
        parts.append(_text(x + 5, y + 12, f"{totals[row]:,}"))
    keys = "".join(
        f'<span><b style="background:var(--c{number % _NUM_COLORS})"></b>{html.escape(name)}</span>'
        for number, (name, _) in enumerate(series)
    )
    legend = f'<div class="legend">{keys}</div>' if len(series) > 1 else ""
    drawing = _svg(width, 21 * len(labels) + 4, parts, min_width=MIN_BAR_WIDTH)
    return f'<div class="scroll" style="max-height:none">{drawing}</div>{legend}'


def histogram(labels: Sequence[str], counts: Sequence[int], axis: str, width: int = 480, height: int = 200) -> str:
    """Return a vertical bar for each label.

    Args:
        labels: L labels.
        counts: Height of each bar.
        axis: Name of the horizontal axis.
        width, height: Size of the drawing.
    """
    bottom, step = height - 38, (width - 20) / max(len(counts), 1)
    scale = (bottom - 18) / max([*counts, 1])
    parts = [f'<line x1="10" y1="{bottom}" x2="{width - 10}" y2="{bottom}" class="grid"/>']
    for number, (label, count) in enumerate(zip(labels, counts, strict=True)):
        x, tall = 10 + number * step, count * scale
        parts.append(_rect(x + 1, bottom - tall, max(step - 2, 1), tall, "var(--bar)", f"{label}: {count:,}"))
        parts.append(_text(x + step / 2, bottom + 14, label, "middle"))
        if count:
            parts.append(_text(x + step / 2, bottom - tall - 4, _brief(count), "middle"))
    parts.append(_text(width / 2, height - 4, axis, "middle"))
    return _svg(width, height, parts)


def co_occurrence(labels: Sequence[str], counts: NDArray[np.int64]) -> str:
    """Return the matrix of the number of images with two classes each, shaded by the logarithm.

    Args:
        labels: L class names.
        counts: ``[L, L]``, number of images with both classes; with the class on the diagonal.
    """
    left, top = _room(labels), _room(labels)
    largest = math.log1p(int(counts.max(initial=1)))
    parts = []
    for row, label in enumerate(labels):
        middle = CELL * row + CELL / 2 + 4
        parts.append(_text(left - 6, top + middle, _short(label), "end"))
        place = f"translate({left + middle:.1f} {top - 6:.1f}) rotate(-90)"
        parts.append(f'<g transform="{place}">{_text(0, 0, _short(label))}</g>')
        for column, other in enumerate(labels):
            count = int(counts[row, column])
            x, y, share = left + CELL * column, top + CELL * row, math.log1p(count) / largest
            tip = f"{label} and {other}: {count:,} images" if row != column else f"{label}: {count:,} images"
            color = f"color-mix(in srgb, var(--bar) {85 * share:.0f}%, var(--card))"
            parts.append(_rect(x, y, CELL - 1, CELL - 1, color, tip))
            if count:
                ink = "var(--card)" if share > 0.75 else "var(--ink)"
                parts.append(_text(x + CELL / 2, y + CELL / 2 + 4, _brief(count), "middle", ink))
    side = CELL * len(labels) + 8
    return f'<div class="scroll" style="max-height:none">{_svg(left + side, top + side, parts, is_fixed=True)}</div>'


def _svg(width: float, height: float, parts: Sequence[str], *, is_fixed: bool = False, min_width: int = 0) -> str:
    size = f"width:{width:.0f}px;max-width:none" if is_fixed else f"min-width:{min_width}px;max-width:{width:.0f}px"
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" style="{size}">{"".join(parts)}</svg>'


def _rect(x: float, y: float, width: float, height: float, color: str, tip: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} style="fill:{color}"><title>{html.escape(tip)}</title></rect>'


def _text(x: float, y: float, text: str, anchor: str = "start", color: str = "") -> str:
    style = f' style="fill:{color};pointer-events:none"' if color else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{html.escape(text)}</text>'


def _room(labels: Sequence[str]) -> float:
    """Return the width of the longest label."""
    return 12 + LETTER * max((len(_short(label)) for label in labels), default=0)


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _brief(count: int) -> str:
    """Return a count in at most four characters."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= limit:
            return f"{count / limit:.0f}{unit}" if count >= 10 * limit else f"{count / limit:.1f}{unit}"
    return str(count)
