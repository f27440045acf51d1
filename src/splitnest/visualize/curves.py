"""Line plots of training metrics with Pillow."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from splitnest.visualize.colors import Color
from splitnest.visualize.sheet import INK, PAPER
from splitnest.visualize.text import draw_text, text_size

Points = Sequence[tuple[float, float]]
"""Points (x, y) in ascending order of x."""

WIDTH, HEIGHT = 640, 400
"""Size of a panel in pixels."""

SCALE = 2
"""Antialiasing factor: panels are drawn this many times larger, and downsampled."""

FONT_SIZE, LEFT, RIGHT, TOP, BOTTOM = 13, 58, 18, 34, 40
"""Text height and margins of a panel in pixels; the legend is below the top margin."""

GRID, AXIS = (228, 228, 224), (120, 124, 132)
"""Colors of grid lines, and of axes and their labels."""

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
"""Curve colors, dark enough for a light background; the first is for the most important curve."""

MIN_SMOOTHED_POINTS = 60
"""Minimum number of points of a smoothed curve. The window of its moving average is about 1/30 of the points."""

MAX_DOTS = 50
"""Maximum number of points of a curve that are marked by dots, as those of evaluations."""

CLIP_PERCENTILE = 98
"""Percentile of the values of a noisy curve that fits into the panel; higher values may be clipped."""


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title: Title above the plot.
        curves: Points of each curve by its name. Values that are negative, as for undefined metrics, or not finite are
            left out.
        noisy: Whether curves are smoothed, and rare high values clipped.
    """

    title: str
    curves: Mapping[str, Points]
    noisy: bool = False


def draw_curves(panels: Sequence[Panel], columns: int = 2) -> np.ndarray:
    """Draw plots in a grid, with a common x axis from 0 to the maximum of all curves.

    Args:
        panels: Plots in row-major order.
        columns: Maximum number of plots in a row.

    Returns:
        uint8 RGB ``[H, W, 3]``.

    Raises:
        ValueError: There are no panels.
    """
    if not panels:
        raise ValueError("a page of curves needs at least one panel")
    end = max((x for panel in panels for points in panel.curves.values() for x, _ in points), default=0.0) or 1.0
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    page = Image.new("RGB", (columns * WIDTH, rows * HEIGHT), PAPER)
    for number, panel in enumerate(panels):
        scaled = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
        _draw_panel(ImageDraw.Draw(scaled), panel, end)
        position = (number % columns * WIDTH, number // columns * HEIGHT)
        page.paste(scaled.resize((WIDTH, HEIGHT), Image.Resampling.BOX), position)
    return np.array(page)


@dataclass(frozen=True)
class _Axes:
    """Mapping of values to scaled pixels.

    Attributes:
        box: Plot area, xyxy in scaled pixels.
        end: Maximum of the x axis, which starts at 0.
        high: Maximum of the y axis, which starts at 0.
    """

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
    draw_text(draw, (LEFT * SCALE, 10 * SCALE), panel.title, round(FONT_SIZE * 1.2) * SCALE, INK)
    top = _draw_legend(draw, curves)
    y_ticks = ticks(0.0, max((highest(points, panel.noisy) for points in curves.values()), default=0.0) or 1.0)
    box = (LEFT * SCALE, top, (WIDTH - RIGHT) * SCALE, (HEIGHT - BOTTOM) * SCALE)
    axes = _Axes(box, end, y_ticks[-1])
    _draw_grid(draw, axes, y_ticks)
    colored = list(zip(curves.values(), _colors(len(curves)), strict=True))[::-1]  # first curve on top
    if panel.noisy:
        for points, color in colored:
            _draw_curve(draw, axes, points, _pale(color), SCALE)
    for points, color in colored:
        _draw_curve(draw, axes, smoothed(points) if panel.noisy else points, color, 2 * SCALE)


def highest(points: Points, noisy: bool) -> float:
    """Return the highest value of a curve that its plot shows; rare high values of a noisy one are left out."""
    values = [y for _, y in points]
    if noisy and len(values) >= MIN_SMOOTHED_POINTS:
        return float(np.percentile(values, CLIP_PERCENTILE)) * 1.1
    return max(values)


def _draw_legend(draw: ImageDraw.ImageDraw, curves: Mapping[str, Points]) -> int:
    """Draw curve names and last values below the title, and return the top of the plot area in scaled pixels."""
    size, gap = FONT_SIZE * SCALE, 8 * SCALE
    x, y = LEFT * SCALE, TOP * SCALE
    for (name, points), color in zip(curves.items(), _colors(len(curves)), strict=True):
        text = f"{name} {points[-1][1]:.3g}"
        width = 3 * gap + text_size(text, size)[0]
        if x > LEFT * SCALE and x + width > (WIDTH - RIGHT) * SCALE:
            x, y = LEFT * SCALE, y + round(1.4 * size)
        middle = y + size // 2
        draw.line((x, middle, x + 1.6 * gap, middle), fill=color, width=2 * SCALE)
        draw_text(draw, (x + 2 * gap, middle), text, size, INK, "lm")
        x += width + gap
    return y + 2 * size


def _draw_grid(draw: ImageDraw.ImageDraw, axes: _Axes, y_ticks: Sequence[float]) -> None:
    left, _, right, bottom = axes.box
    size = round(FONT_SIZE * 0.9) * SCALE
    for value in y_ticks:
        draw.line((left, axes.y(value), right, axes.y(value)), fill=GRID, width=SCALE)
        draw_text(draw, (left - 6 * SCALE, axes.y(value)), _label(value), size, AXIS, "rm")
    for value in ticks(0.0, axes.end):
        if value <= axes.end:
            draw.line((axes.x(value), bottom, axes.x(value), bottom + 4 * SCALE), fill=AXIS, width=SCALE)
            draw_text(draw, (axes.x(value), bottom + 4 * SCALE), _label(value), size, AXIS, "ma")
    draw.line((left, bottom, right, bottom), fill=AXIS, width=SCALE)
    draw_text(draw, (right, bottom + 20 * SCALE), "step", size, AXIS, "ra")


def _draw_curve(draw: ImageDraw.ImageDraw, axes: _Axes, points: Points, color: Color, width: int) -> None:
    """Draw a line through points, with a dot at each of a few points."""
    pixels = [(axes.x(x), axes.y(y)) for x, y in points]
    if len(pixels) > 1:
        draw.line(pixels, fill=color, width=width, joint="curve")
    radius = 3 * SCALE
    for x, y in pixels if len(pixels) <= MAX_DOTS else ():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def smoothed(points: Points) -> Points:
    """Return a centered moving average, with smaller windows at both ends."""
    half_window = len(points) // MIN_SMOOTHED_POINTS
    sums = np.concatenate([[0.0], np.cumsum([y for _, y in points])])
    index = np.arange(len(points))
    half_windows = np.minimum(np.minimum(index, index[::-1]), half_window)
    means = (sums[index + half_windows + 1] - sums[index - half_windows]) / (2 * half_windows + 1)
    return [(x, y) for (x, _), y in zip(points, means.tolist(), strict=True)]


def _pale(color: Color) -> Color:
    red, green, blue = (round(0.25 * c + 0.75 * p) for c, p in zip(color, PAPER, strict=True))
    return red, green, blue


def ticks(low: float, high: float, num_steps: int = 5) -> list[float]:
    """Return tick values that cover a range, in steps of 1, 2 or 5 times a power of ten.

    Args:
        low, high: Limits of the range.
        num_steps: Approximate number of steps.

    Raises:
        ValueError: ``high`` is not greater than ``low``.
    """
    if not high > low:
        raise ValueError(f"high must be greater than low, but the range is {low} to {high}")
    rough = (high - low) / num_steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _label(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 10000 else f"{value:.6g}"


def _colors(count: int) -> list[Color]:
    """Return curve colors: the third color for a single curve, otherwise all colors, then darker shades."""
    if count == 1:
        return [COLORS[2]]
    darker: list[Color] = [(red // 2, green // 2, blue // 2) for red, green, blue in COLORS[1:]]
    shades = [*COLORS, *darker]
    return [shades[number % len(shades)] for number in range(count)]
