"""Drawing of the most probable classes of an image as bars."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from splitnest.visualize.canvas import Canvas
from splitnest.visualize.text import draw_text, text_size, truncate_text

BAR_COLOR = (64, 196, 255)


def draw_classification(image: np.ndarray, names: Sequence[str], probabilities: Sequence[float]) -> np.ndarray:
    """Draw a panel at the bottom left with a bar for each class; classes that do not fit are left out.

    Args:
        image: uint8 RGB ``[H, W, 3]``; not modified.
        names: Names of the most probable classes, in descending order.
        probabilities: Probability of each class, from 0 to 1.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    canvas = Canvas(image)
    size = canvas.font_size
    padding, row_height = size // 2 + 2, round(size * 1.75)
    percent_width = text_size("100%", size)[0] + size
    longest = max(text_size(name, size)[0] for name in names)
    width = min(max(longest + percent_width, 11 * size) + 2 * padding, canvas.width - 2 * padding)
    num_rows = min(len(names), max(0, (canvas.height - 4 * padding) // row_height))
    if width < 6 * size or not num_rows:
        return canvas.pixels
    top = canvas.height - padding - num_rows * row_height - padding
    panel = (padding, top, padding + width, canvas.height - padding)
    canvas.panel(panel)
    image_with_panel = Image.fromarray(canvas.pixels)
    draw = ImageDraw.Draw(image_with_panel)
    left, right = panel[0] + padding, panel[2] - padding
    for row, (name, probability) in enumerate(zip(names[:num_rows], probabilities, strict=False)):
        y = top + padding // 2 + row * row_height
        color = (255, 255, 255) if row == 0 else (205, 210, 216)
        text = truncate_text(name, size, right - left - percent_width)
        draw_text(draw, (left, y + size * 0.7), text, size, color, "lm")
        draw_text(draw, (right, y + size * 0.7), f"{probability:.0%}", size, color, "rm")
        thickness, base = max(2, size // 6), y + round(size * 1.4)
        draw.rectangle((left, base, right, base + thickness - 1), fill=(72, 78, 86))
        length = round((right - left) * probability)
        if length:
            draw.rectangle((left, base, left + length, base + thickness - 1), fill=BAR_COLOR)
    return np.array(image_with_panel)
