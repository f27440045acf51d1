"""Drawing of a heat map on an image, with a legend."""

import numpy as np
from PIL import Image, ImageDraw

from splitnest.visualize.canvas import Canvas
from splitnest.visualize.sheet import INK, PAPER
from splitnest.visualize.text import draw_text, truncate_text

INFERNO = np.array(
    [
        (0, 0, 4),
        (40, 11, 84),
        (101, 21, 110),
        (159, 42, 99),
        (212, 72, 66),
        (245, 125, 21),
        (250, 193, 39),
        (252, 255, 164),
    ],
    np.float32,
)
"""Colors of values from 0 to 1 at even distances: matplotlib's inferno, whose lightness grows with the value."""

LOW_OPACITY, HIGH_OPACITY = 0.3, 0.72
"""Opacity of the colors of 0 and 1."""

MIN_SIDE = 448
"""Minimum length of the long side of a drawing in pixels, so that its legend is legible."""


def heat_colors(values: np.ndarray) -> np.ndarray:
    """Return the color of each value from 0 to 1, float32 RGB ``[..., 3]``."""
    position = np.clip(np.asarray(values, np.float32), 0, 1) * (len(INFERNO) - 1)
    below = np.minimum(position.astype(int), len(INFERNO) - 2)
    colors: np.ndarray = INFERNO[below] + (position - below)[..., None] * (INFERNO[below + 1] - INFERNO[below])
    return colors


def draw_heat_map(
    image: np.ndarray,
    values: np.ndarray,
    title: str,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Draw values over an image, and a legend below it.

    Args:
        image: uint8 RGB ``[H, W, 3]``; not modified.
        values: Value of each pixel from 0 to 1, ``[H, W]``.
        title: Text of the legend.
        box: Box that is outlined, xyxy in pixels of the image; None draws none.

    Returns:
        uint8 RGB ``[H', W', 3]``: the image, enlarged if it is small, and the legend.
    """
    opacity = (LOW_OPACITY + (HIGH_OPACITY - LOW_OPACITY) * np.clip(values, 0, 1))[..., None]
    blended = Image.fromarray(np.rint(image * (1 - opacity) + heat_colors(values) * opacity).astype(np.uint8))
    scale = max(1.0, MIN_SIDE / max(blended.size))
    width, height = (max(1, round(side * scale)) for side in blended.size)
    canvas = Canvas(np.array(blended.resize((width, height), Image.Resampling.BICUBIC)))
    if box is not None:
        x1, y1, x2, y2 = (side * scale for side in box)
        canvas.rectangle((x1, y1, x2, y2), (255, 255, 255), canvas.line_width)
    return np.concatenate((canvas.pixels, _legend(width, title, canvas.font_size)))


def _legend(width: int, title: str, font_size: int) -> np.ndarray:
    """Return a strip with the colors of 0 to 1, and below them the title."""
    size, margin = min(font_size, max(9, width // 20)), max(4, font_size // 2)
    strip = Image.new("RGB", (width, 2 * margin + round(3.2 * size)), PAPER)
    draw = ImageDraw.Draw(strip)
    left, right = margin + size, max(margin + size + 1, width - margin - size)
    bar = np.broadcast_to(heat_colors(np.linspace(0, 1, right - left)), (size, right - left, 3))
    strip.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (left, margin))
    middle = margin + size / 2
    draw_text(draw, (left - size * 0.4, middle), "0", size, INK, "rm")
    draw_text(draw, (right + size * 0.4, middle), "1", size, INK, "lm")
    text = truncate_text(title, size, width - 2 * margin)
    draw_text(draw, (margin, margin + 2.4 * size), text, size, INK, "lm")
    return np.array(strip)
