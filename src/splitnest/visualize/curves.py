"""Line plots of a training, with Pillow alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from splitnest.visualize.canvas import font_of, text_size
from splitnest.visualize.colors import Color
from splitnest.visualize.sheet import INK, PAPER

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640, 400
"""Size of a panel in pixels."""

DETAIL = 2
"""Pixels are drawn so many times finer and averaged, which smooths the lines."""

FONT, LEFT, RIGHT, TOP, BOTTOM = 13, 58, 18, 34, 40
"""Text height and margins of a panel in pixels; the legend takes more at the top."""

GRID, PLAIN = (228, 228, 224), (120, 124, 132)
COLORS: tuple[Color, ...] = (
    (40, 44, 52),
    (214, 69, 65),
    (31, 119, 200),
    (44, 150, 80),
    (226, 136, 20),
    (130, 80, 190),
    (20, 160, 165),
    (200, 80, 150),
)
"""Dark enough for paper; the first is for what counts most."""

SMOOTH_FROM = 60
"""Points from which on a noisy curve is drawn pale, under the moving averages of a 30th of them."""

SPIKES = 98
"""Percentile of the values above which a noisy curve may leave the panel."""


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title: Above it.
        curves: Name -> points (x, y) by rising x. Values that are not finite, or negative as metrics of nothing are,
            are left out.
        noisy: Curves are smoothed, and rare high values may leave the panel.
    """

    title: str
    curves: Mapping[str, Points]
    noisy: bool = False


def draw_curves(panels: Sequence[Panel], columns: int = 2) -> np.ndarray:
    """Draw plots in rows, all from x = 0 to the highest x of any.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: If there is no panel.
    """
    if not panels:
        raise ValueError("A page of curves needs a panel.")
    end = max((x for panel in panels for points in panel.curves.values() for x, _ in points), default=0.0) or 1.0
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    page = Image.new("RGB", (columns * WIDTH, rows * HEIGHT), PAPER)
    for number, panel in enumerate(panels):
        fine = Image.new("RGB", (WIDTH * DETAIL, HEIGHT * DETAIL), PAPER)
        _draw_panel(ImageDraw.Draw(fine), panel, end)
        place = (number % columns * WIDTH, number // columns * HEIGHT)
        page.paste(fine.resize((WIDTH, HEIGHT), Image.Resampling.BOX), place)
    return np.array(page)


@dataclass(frozen=True)
class _Axes:
    """Where values are in a panel: ``box`` (left, top, right, bottom) in fine pixels shows 0 to ``end`` by ``high``."""

    box: tuple[int, int, int, int]
    end: float
    high: float

    def x(self, value: float) -> float:
        return self.box[0] + value / self.end * (self.box[2] - self.box[0])

    def y(self, value: float) -> float:
        return self.box[3] - min(value / self.high, 1.0) * (self.box[3] - self.box[1])


def _draw_panel(draw: ImageDraw.ImageDraw, panel: Panel, end: float) -> None:
    curves = {name: [(x, y) for x, y in points if math.isfinite(y) and y >= 0] for name, points in panel.curves.items()}
    curves = {name: points for name, points in curves.items() if points}
    draw.text((LEFT * DETAIL, 10 * DETAIL), panel.title, fill=INK, font=font_of(round(FONT * 1.2) * DETAIL))
    top = _draw_legend(draw, curves)
    y_ticks = ticks(0.0, max((_highest(points, panel.noisy) for points in curves.values()), default=0.0) or 1.0)
    box = (LEFT * DETAIL, top, (WIDTH - RIGHT) * DETAIL, (HEIGHT - BOTTOM) * DETAIL)
    axes = _Axes(box, end, y_ticks[-1])
    _draw_grid(draw, axes, y_ticks)
    colored = list(zip(curves.values(), _colors(len(curves)), strict=True))[::-1]  # the first is drawn over the others
    if panel.noisy:
        for points, color in colored:
            _draw_curve(draw, axes, points, _pale(color), DETAIL)
    for points, color in colored:
        _draw_curve(draw, axes, _smoothed(points) if panel.noisy else points, color, 2 * DETAIL)


def _highest(points: Points, noisy: bool) -> float:
    values = [y for _, y in points]
    return float(np.percentile(values, SPIKES)) * 1.1 if noisy and len(values) >= SMOOTH_FROM else max(values)


def _draw_legend(draw: ImageDraw.ImageDraw, curves: Mapping[str, Points]) -> int:
    """Name the curves with their last values under the title; return where the plot begins, in fine pixels."""
    size, gap = FONT * DETAIL, 8 * DETAIL
    x, y = LEFT * DETAIL, TOP * DETAIL
    for (name, points), color in zip(curves.items(), _colors(len(curves)), strict=True):
        text = f"{name} {points[-1][1]:.3g}"
        width = 3 * gap + text_size(text, size)[0]
        if x > LEFT * DETAIL and x + width > (WIDTH - RIGHT) * DETAIL:
            x, y = LEFT * DETAIL, y + round(1.4 * size)
        middle = y + size // 2
        draw.line((x, middle, x + 1.6 * gap, middle), fill=color, width=2 * DETAIL)
        draw.text((x + 2 * gap, middle), text, fill=INK, font=font_of(size), anchor="lm")
        x += width + gap
    return y + 2 * size


def _draw_grid(draw: ImageDraw.ImageDraw, axes: _Axes, y_ticks: Sequence[float]) -> None:
    left, _, right, bottom = axes.box
    font = font_of(round(FONT * 0.9) * DETAIL)
    for value in y_ticks:
        draw.line((left, axes.y(value), right, axes.y(value)), fill=GRID, width=DETAIL)
        draw.text((left - 6 * DETAIL, axes.y(value)), _label(value), fill=PLAIN, font=font, anchor="rm")
    for value in ticks(0.0, axes.end):
        if value <= axes.end:
            draw.line((axes.x(value), bottom, axes.x(value), bottom + 4 * DETAIL), fill=PLAIN, width=DETAIL)
            draw.text((axes.x(value), bottom + 6 * DETAIL), _label(value), fill=PLAIN, font=font, anchor="mt")
    draw.line((left, bottom, right, bottom), fill=PLAIN, width=DETAIL)
    draw.text((right, bottom + 22 * DETAIL), "step", fill=PLAIN, font=font, anchor="rt")


def _draw_curve(draw: ImageDraw.ImageDraw, axes: _Axes, points: Points, color: Color, width: int) -> None:
    places = [(axes.x(x), axes.y(y)) for x, y in points]
    if len(places) == 1:
        (x, y), radius = places[0], 3 * DETAIL
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    else:
        draw.line(places, fill=color, width=width, joint="curve")


def _smoothed(points: Points) -> Points:
    """The mean of the points around each, fewer at the ends; few points stay as they are."""
    reach = len(points) // SMOOTH_FROM
    sums = np.concatenate([[0.0], np.cumsum([y for _, y in points])])
    index = np.arange(len(points))
    spans = np.minimum(np.minimum(index, index[::-1]), reach)
    means = (sums[index + spans + 1] - sums[index - spans]) / (2 * spans + 1)
    return [(x, y) for (x, _), y in zip(points, means.tolist(), strict=True)]


def _pale(color: Color) -> Color:
    red, green, blue = (round(0.25 * c + 0.75 * p) for c, p in zip(color, PAPER, strict=True))
    return red, green, blue


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers in about ``wanted`` equal steps of 1, 2 or 5 times a power of ten, that reach over both limits.

    Raises:
        ValueError: If ``high`` is not over ``low``.
    """
    if not high > low:
        raise ValueError(f"There are no ticks from {low} to {high}.")
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _label(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 10000 else f"{value:.6g}"


def _colors(count: int) -> list[Color]:
    """Of a single curve the third colour; of several the first for the first, and then darker ones."""
    if count == 1:
        return [COLORS[2]]
    darker: list[Color] = [(red // 2, green // 2, blue // 2) for red, green, blue in COLORS[1:]]
    shades = [*COLORS, *darker]
    return [shades[number % len(shades)] for number in range(count)]
