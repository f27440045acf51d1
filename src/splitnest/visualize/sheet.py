"""Contact sheet: a grid of images with titles, such as predictions beside ground truth."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from splitnest.visualize.text import draw_text, truncate_text

PAPER, INK = (250, 250, 248), (40, 44, 52)
"""Colors of page background and text."""


def contact_sheet(
    images: Sequence[np.ndarray], titles: Sequence[str] = (), columns: int = 4, cell_width: int = 480
) -> np.ndarray:
    """Arrange images in a grid, with titles above them.

    Args:
        images: uint8 RGB ``[h, w, 3]`` of any sizes; each is resized to fit a square cell.
        titles: Title of each image, truncated to the width of a cell; empty draws no titles.
        columns: Maximum number of images in a row.
        cell_width: Width of a cell in pixels.

    Returns:
        uint8 RGB ``[H, W, 3]``.

    Raises:
        ValueError: There are no images or columns, or the numbers of titles and images differ.
    """
    if not images or columns < 1:
        raise ValueError(f"a contact sheet needs images and columns, not {len(images)} images in {columns} columns")
    if titles and len(titles) != len(images):
        raise ValueError(f"there are {len(images)} images, but {len(titles)} titles")
    columns = min(columns, len(images))
    gap, font_size = max(6, cell_width // 40), max(11, cell_width // 28)
    title_height = round(font_size * 1.5) if titles else 0
    resized = [_resize_to_cell(image, cell_width) for image in images]
    rows = [resized[start : start + columns] for start in range(0, len(resized), columns)]
    heights = [max(image.height for image in row) for row in rows]
    page_size = (columns * (cell_width + gap) + gap, sum(heights) + len(rows) * (gap + title_height) + gap)
    page = Image.new("RGB", page_size, PAPER)
    draw = ImageDraw.Draw(page)
    y = gap
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        for column, image in enumerate(row):
            x = gap + column * (cell_width + gap)
            if titles:
                title = truncate_text(titles[number * columns + column], font_size, cell_width)
                draw_text(draw, (x, y + title_height * 0.42), title, font_size, INK, "lm")
            page.paste(image, (x + (cell_width - image.width) // 2, y + title_height))
        y += height + title_height + gap
    return np.array(page)


def _resize_to_cell(image: np.ndarray, cell_width: int) -> Image.Image:
    """Return an image resized to fit a square cell."""
    height, width = image.shape[:2]
    scale = cell_width / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
