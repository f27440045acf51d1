"""The most probable classes of an image, as bars."""

import numpy as np
from PIL import Image, ImageDraw

from splitnest.results import Classification
from splitnest.visualize.canvas import Canvas, font_of, shortened, text_size

BAR = (64, 196, 255)


def draw_classification(image: np.ndarray, classification: Classification) -> np.ndarray:
    """Draw a panel at the bottom left with a bar for each of the five best classes, or for those that find room.

    Args:
        image: uint8 [H, W, 3], RGB; not changed.
        classification: Of an image of this size.

    Returns:
        uint8 [H, W, 3].
    """
    canvas = Canvas(image, classification.image_size)
    size = canvas.font_size
    padding, row_height = size // 2 + 2, round(size * 1.75)
    number = text_size("100%", size)[0] + size
    longest = max(text_size(guess.name, size)[0] for guess in classification.top)
    width = min(max(longest + number, 11 * size) + 2 * padding, canvas.width - 2 * padding)
    guesses = classification.top[: max(0, (canvas.height - 4 * padding) // row_height)]
    if width < 6 * size or not guesses:
        return canvas.pixels
    top = canvas.height - padding - len(guesses) * row_height - padding
    panel = (padding, top, padding + width, canvas.height - padding)
    canvas.panel(panel)
    picture = Image.fromarray(canvas.pixels)
    draw = ImageDraw.Draw(picture)
    left, right = panel[0] + padding, panel[2] - padding
    for row, guess in enumerate(guesses):
        y = top + padding // 2 + row * row_height
        color = (255, 255, 255) if row == 0 else (205, 210, 216)
        draw.text(
            (left, y + size * 0.7),
            shortened(guess.name, size, right - left - number),
            fill=color,
            font=font_of(size),
            anchor="lm",
        )
        draw.text((right, y + size * 0.7), f"{guess.probability:.0%}", fill=color, font=font_of(size), anchor="rm")
        thick, base = max(2, size // 6), y + round(size * 1.4)
        draw.rectangle((left, base, right, base + thick - 1), fill=(72, 78, 86))
        length = round((right - left) * guess.probability)
        if length:
            draw.rectangle((left, base, left + length, base + thick - 1), fill=BAR)
    return np.array(picture)
