"""A confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from splitnest.visualize.canvas import font_of, shortened, text_size
from splitnest.visualize.colors import Color, text_color
from splitnest.visualize.sheet import INK, PAPER

MAX_NAMED = 60
"""Classes up to which rows and columns have names and cells numbers; beyond, the picture is a map of colours."""

CELL, FONT, MARGIN, NAME_WIDTH = 44, 14, 24, 170
"""Side of a cell with a number, text height, margin and widest name, in pixels."""

MAP_SIDE = 1000
"""About as wide is a map of colours, in pixels; a class has one pixel at least."""

RIGHT, WRONG = (24, 110, 60), (190, 40, 40)
"""Of the diagonal and of the rest, where all of a row is in a cell."""


def draw_confusion(confusion: NDArray[np.integer], names: Sequence[str]) -> np.ndarray:
    """Draw how many photographs of each class were taken for each class, coloured by their share of the row.

    Args:
        confusion: ``[K, K]``, rows are true classes, columns what was said.
        names: Of the classes.

    Returns:
        uint8 [H, W, 3].
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    colors = _colors(shares)
    count = len(names)
    if count > MAX_NAMED:
        cell = max(1, MAP_SIDE // count)
        return _titled(Image.fromarray(colors.repeat(cell, 0).repeat(cell, 1)), MARGIN, MARGIN)
    left = MARGIN + max((text_size(shortened(name, FONT, NAME_WIDTH), FONT)[0] for name in names), default=0) + 8
    grid = Image.fromarray(colors.repeat(CELL, 0).repeat(CELL, 1))
    draw = ImageDraw.Draw(grid)
    for row, column in zip(*np.nonzero(confusion), strict=True):
        ink = text_color(_tuple(colors[row, column]))
        place = ((column + 0.5) * CELL, (row + 0.5) * CELL)
        draw.text(place, str(confusion[row, column]), fill=ink, font=font_of(FONT), anchor="mm")
    page = _titled(grid, left, left)
    picture = Image.fromarray(page)
    draw = ImageDraw.Draw(picture)
    top = picture.height - MARGIN - count * CELL
    for index, name in enumerate(names):
        text = shortened(name, FONT, NAME_WIDTH)
        draw.text((left - 8, top + (index + 0.5) * CELL), text, fill=INK, font=font_of(FONT), anchor="rm")
        upright = Image.new("RGB", (NAME_WIDTH + MARGIN, CELL), PAPER)
        ImageDraw.Draw(upright).text((0, CELL / 2), text, fill=INK, font=font_of(FONT), anchor="lm")
        upright = upright.rotate(90, expand=True)
        room = left - MARGIN - 8
        picture.paste(
            upright.crop((0, upright.height - room, CELL, upright.height)), (left + index * CELL, top - room - 8)
        )
    return np.array(picture)


def _titled(grid: Image.Image, left: int, above: int) -> np.ndarray:
    """Put a grid on a page that says what its rows and columns are."""
    head = MARGIN + 2 * FONT
    page = Image.new("RGB", (max(left + grid.width + MARGIN, 420), head + above + grid.height + MARGIN), PAPER)
    title = "rows: true class; columns: what was said; colour: share of the row"
    ImageDraw.Draw(page).text((MARGIN, MARGIN), title, fill=INK, font=font_of(FONT), anchor="lm")
    page.paste(grid, (left, head + above))
    return np.array(page)


def _colors(shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a colour for each cell, ``[K, K, 3]``: paler where there is less."""
    full = np.where(np.eye(len(shares), dtype=bool)[..., None], RIGHT, WRONG)
    depth = np.sqrt(shares)[..., None]  # rare confusions stay visible
    return np.rint((1 - depth) * np.array((255, 255, 255)) + depth * full).astype(np.uint8)


def _tuple(color: NDArray[np.uint8]) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue
