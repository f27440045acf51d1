"""Charts as inline SVG for HTML pages: bars, histograms and heat maps."""

import html
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COLORS = ("#3b6ea5", "#e08a3c", "#5a9e6f", "#a25b9b", "#8a8a83")
"""Colors of series, which people without color vision can tell by their brightness too."""

TEXT, LINE, LARGE = "#3c424b", "#d9d9d4", "#3b6ea5"
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'
_CHARACTER = 6.6
"""Width of a character in pixels, to reserve room for labels."""

MAX_LABEL = 28
"""Number of characters of a label that are shown."""


def bar_chart(labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], width: int = 640) -> str:
    """Return horizontal bars, one for each label, with stacked parts for several series.

    Args:
        labels: Labels.
        series: Name and values of each series, one value for each label.
        width: Width in pixels.
    """
    room = _room(labels)
    totals = [sum(values[row] for _, values in series) for row in range(len(labels))]
    scale = (width - room - 60) / max([*totals, 1])
    top = 22 if len(series) > 1 else 4
    parts = [_legend([name for name, _ in series], room)] if len(series) > 1 else []
    for row, label in enumerate(labels):
        y, x = top + 22 * row, float(room)
        parts.append(_text(room - 8, y + 12, label, "end"))
        for number, (name, values) in enumerate(series):
            length = values[row] * scale
            color = COLORS[number % len(COLORS)]
            parts.append(_bar(x, y, length, 16, color, f"{label}, {name}: {values[row]:,}"))
            x += length
        parts.append(_text(x + 5, y + 12, f"{totals[row]:,}"))
    return _svg(width, top + 22 * len(labels) + 4, parts)


def histogram(labels: Sequence[str], counts: Sequence[int], title: str, width: int = 480, height: int = 200) -> str:
    """Return vertical bars with labels below them.

    Args:
        labels: Label of each bar; empty ones are not shown.
        counts: Height of each bar.
        title: Name of the horizontal axis.
        width, height: Size in pixels.
    """
    bottom, step = height - 40, (width - 20) / max(len(counts), 1)
    scale = (bottom - 20) / max([*counts, 1])
    parts = [f'<line x1="10" y1="{bottom}" x2="{width - 10}" y2="{bottom}" stroke="{LINE}"/>']
    for number, (label, count) in enumerate(zip(labels, counts, strict=True)):
        x, tall = 10 + number * step, count * scale
        parts.append(_bar(x + 1, bottom - tall, max(step - 2, 1), tall, LARGE, f"{label}: {count:,}"))
        parts.append(_text(x + step / 2, bottom + 14, label, "middle"))
        if count and step > _CHARACTER * len(f"{count:,}"):
            parts.append(_text(x + step / 2, bottom - tall - 4, f"{count:,}", "middle"))
    parts.append(_text(width / 2, height - 6, title, "middle"))
    return _svg(width, height, parts)


def heat_map(labels: Sequence[str], values: NDArray[np.int64], title: str) -> str:
    """Return a square matrix with the values of pairs of labels, shaded by the logarithm.

    Args:
        labels: L labels.
        values: ``[L, L]``.
        title: Text of the tooltip between the labels, as in ``with``.
    """
    room, size = _room(labels), 34
    top = room
    largest = math.log1p(int(values.max(initial=1)))
    parts = []
    for row, label in enumerate(labels):
        parts.append(_text(room - 6, top + size * row + 21, label, "end"))
        place = f"{room + size * row + 21},{top - 6}"
        parts.append(f'<g transform="translate({place}) rotate(-60)">{_text(0, 0, label)}</g>')
        for column, other in enumerate(labels):
            value = int(values[row, column])
            share = math.log1p(value) / largest
            color = f"rgb({246 - share * 187:.0f},{246 - share * 136:.0f},{242 - share * 77:.0f})"
            x, y = room + size * column, top + size * row
            parts.append(_bar(x, y, size - 1, size - 1, color, f"{label} {title} {other}: {value:,}"))
            if value:
                parts.append(_text(x + size / 2, y + 21, _short(value), "middle", "#fff" if share > 0.6 else TEXT))
    return _svg(room + size * len(labels) + 40, top + size * len(labels) + 4, parts)


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<svg {box} {_FONT} role="img">{"".join(parts)}</svg>'


def _bar(x: float, y: float, width: float, height: float, color: str, title: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{color}"><title>{html.escape(title)}</title></rect>'


def _text(x: float, y: float, text: str, anchor: str = "start", color: str = TEXT) -> str:
    shown = text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{html.escape(shown)}</text>'


def _legend(names: Sequence[str], x: float) -> str:
    parts = []
    for number, name in enumerate(names):
        parts.append(_bar(x, 2, 12, 12, COLORS[number % len(COLORS)], name) + _text(x + 17, 12, name))
        x += 34 + _CHARACTER * min(len(name), MAX_LABEL)
    return "".join(parts)


def _room(labels: Sequence[str]) -> int:
    """Return the width of the longest label in pixels."""
    return 16 + round(_CHARACTER * min(max(map(len, labels), default=0), MAX_LABEL))


def _short(value: int) -> str:
    """Return a count in at most four characters."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= limit:
            return f"{value / limit:.0f}{unit}" if value >= 10 * limit else f"{value / limit:.1f}{unit}"
    return str(value)
