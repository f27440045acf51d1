"""Drawing of confusion matrices.

Shapes: K classes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from splitnest.visualize.colors import Color, text_color
from splitnest.visualize.sheet import INK, PAPER
from splitnest.visualize.text import draw_text, text_size, truncate_text

MAX_NAMED = 60
"""Maximum number of classes with names and counts; larger matrices are drawn as a heatmap."""

CELL_SIZE, FONT_SIZE, MARGIN, NAME_WIDTH = 44, 14, 24, 170
"""Side of a cell with a count, text height, margin and maximum width of a name, in pixels."""

TITLE = "rows: ground truth; columns: prediction; color: fraction of the row"

HEATMAP_SIZE = 1000
"""Approximate side of a heatmap in pixels; a cell has at least one pixel."""

CORRECT, INCORRECT = (24, 110, 60), (190, 40, 40)
"""Colors of cells on and off the diagonal that contain the whole row."""


def draw_confusion(confusion: NDArray[np.integer], names: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix, with cells colored by their fraction of the row.

    Args:
        confusion: ``[K, K]``, number of images, ground-truth classes in rows and predicted classes in columns.
        names: Class names.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    fractions = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    colors = _colors(fractions)
    num_classes = len(names)
    if num_classes > MAX_NAMED:
        cell = max(1, HEATMAP_SIZE // num_classes)
        return _with_title(Image.fromarray(colors.repeat(cell, 0).repeat(cell, 1)), MARGIN, MARGIN)
    widths = (text_size(truncate_text(name, FONT_SIZE, NAME_WIDTH), FONT_SIZE)[0] for name in names)
    left = MARGIN + max(widths, default=0) + 8
    grid = Image.fromarray(colors.repeat(CELL_SIZE, 0).repeat(CELL_SIZE, 1))
    draw = ImageDraw.Draw(grid)
    for row, column in zip(*np.nonzero(confusion), strict=True):
        text_fill = text_color(_tuple(colors[row, column]))
        center = ((column + 0.5) * CELL_SIZE, (row + 0.5) * CELL_SIZE)
        count = str(confusion[row, column])
        size = min(FONT_SIZE, FONT_SIZE * (CELL_SIZE - 4) // text_size(count, FONT_SIZE)[0])
        draw_text(draw, center, count, size, text_fill, "mm")
    page = _with_title(grid, left, left)
    canvas = Image.fromarray(page)
    draw = ImageDraw.Draw(canvas)
    top = canvas.height - MARGIN - num_classes * CELL_SIZE
    for index, name in enumerate(names):
        text = truncate_text(name, FONT_SIZE, NAME_WIDTH)
        draw_text(draw, (left - 8, top + (index + 0.5) * CELL_SIZE), text, FONT_SIZE, INK, "rm")
        column_name = Image.new("RGB", (NAME_WIDTH + MARGIN, CELL_SIZE), PAPER)
        draw_text(ImageDraw.Draw(column_name), (0, CELL_SIZE / 2), text, FONT_SIZE, INK, "lm")
        column_name = column_name.rotate(90, expand=True)
        room = left - MARGIN - 8
        cropped = column_name.crop((0, column_name.height - room, CELL_SIZE, column_name.height))
        canvas.paste(cropped, (left + index * CELL_SIZE, top - room - 8))
    return np.array(canvas)


def _with_title(grid: Image.Image, left: int, above: int) -> np.ndarray:
    """Return a page with a title and the grid of cells, which is indented by ``left`` and ``above`` pixels."""
    head = MARGIN + 2 * FONT_SIZE
    width = max(left + grid.width + MARGIN, text_size(TITLE, FONT_SIZE)[0] + 2 * MARGIN)
    page = Image.new("RGB", (width, head + above + grid.height + MARGIN), PAPER)
    draw_text(ImageDraw.Draw(page), (MARGIN, MARGIN), TITLE, FONT_SIZE, INK, "lm")
    page.paste(grid, (left, head + above))
    return np.array(page)


def _colors(fractions: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the color of each cell, ``[K, K, 3]``; cells with a small fraction of the row are pale."""
    full = np.where(np.eye(len(fractions), dtype=bool)[..., None], CORRECT, INCORRECT)
    opacity = np.sqrt(fractions)[..., None]  # keeps rare confusions visible
    return np.rint((1 - opacity) * np.array((255, 255, 255)) + opacity * full).astype(np.uint8)


def _tuple(color: NDArray[np.uint8]) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue
