"""A page of pictures, e.g. predictions beside ground truth."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from splitnest.visualize.canvas import font_of, shortened

PAPER, INK = (250, 250, 248), (40, 44, 52)


def contact_sheet(
    images: Sequence[np.ndarray], titles: Sequence[str] = (), columns: int = 4, cell_width: int = 480
) -> np.ndarray:
    """Lay pictures out in rows, the titles above them.

    Args:
        images: uint8 [h, w, 3] each, of any sizes; each is resized to fit a square as wide as a column.
        titles: One for each image, or none at all; cut where they are wider than the picture.
        columns: Pictures in a row.
        cell_width: Width of a column in pixels.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: If there is no image, or another number of titles than of images.
    """
    if not images or columns < 1:
        raise ValueError(f"A contact sheet needs images and columns, but has {len(images)} and {columns}.")
    if titles and len(titles) != len(images):
        raise ValueError(f"There are {len(images)} images, but {len(titles)} titles.")
    columns = min(columns, len(images))
    gap, font_size = max(6, cell_width // 40), max(11, cell_width // 28)
    title_height = round(font_size * 1.5) if titles else 0
    pictures = [_fitted(image, cell_width) for image in images]
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    page_size = (columns * (cell_width + gap) + gap, sum(heights) + len(rows) * (gap + title_height) + gap)
    page = Image.new("RGB", page_size, PAPER)
    draw = ImageDraw.Draw(page)
    y = gap
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        for column, picture in enumerate(row):
            x = gap + column * (cell_width + gap)
            if titles:
                title = shortened(titles[number * columns + column], font_size, cell_width)
                draw.text((x, y + title_height * 0.42), title, fill=INK, font=font_of(font_size), anchor="lm")
            page.paste(picture, (x + (cell_width - picture.width) // 2, y + title_height))
        y += height + title_height + gap
    return np.array(page)


def _fitted(image: np.ndarray, cell_width: int) -> Image.Image:
    """A picture resized to fit a column."""
    height, width = image.shape[:2]
    scale = cell_width / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
