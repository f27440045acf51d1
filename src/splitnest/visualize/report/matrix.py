"""Confusion matrices of a report page, as SVG.

Shapes: R rows, C columns.
"""

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CELL, MARGIN, LETTER = 40, 8, 6.4
"""Side of a cell, margin, and width of a letter of a name, in units of the drawing."""

MAX_NAME, MAX_SIDE = 22, 560
"""Number of letters of a name that are shown, and width of the cells together up to which they keep their size."""

MIN_CELL = 13
"""Side of a cell from which on its count is drawn when it is small."""


def matrix(counts: NDArray[np.integer], row_names: Sequence[str], column_names: Sequence[str]) -> str:
    """Return a confusion matrix as HTML; a cell is colored by its fraction of the row.

    Args:
        counts: ``[R, C]``, ground truth in rows and predictions in columns. Cells of equal row and column index are
            correct.
        row_names, column_names: Names of the classes.
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows, columns = [_short(name) for name in row_names], [_short(name) for name in column_names]
    cell = max(MIN_CELL, min(CELL, MAX_SIDE // max(len(columns), 1)))
    size = max(6, min(11, cell // 3))
    left = MARGIN + LETTER * max(map(len, rows), default=0)
    top = MARGIN + LETTER * max(map(len, columns), default=0)
    width, height = left + cell * len(columns) + MARGIN, top + cell * len(rows) + MARGIN
    parts = []
    for number, name in enumerate(rows):
        y = top + (number + 0.5) * cell + 4
        parts.append(f'<text x="{left - 5:.1f}" y="{y:.1f}" text-anchor="end">{html.escape(name)}</text>')
    for number, name in enumerate(columns):
        x = left + (number + 0.5) * cell + 4
        parts.append(f'<text transform="translate({x:.1f} {top - 5:.1f}) rotate(-90)">{html.escape(name)}</text>')
    parts.append(
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{cell * len(columns)}" height="{cell * len(rows)}" fill="none" '
        f'stroke="var(--grid)"/>'
    )
    for row, column in zip(*(axis.tolist() for axis in np.nonzero(counts)), strict=True):
        fraction, count = float(fractions[row, column]), int(counts[row, column])
        x, y = left + column * cell, top + row * cell
        tip = f"{row_names[row]} predicted as {column_names[column]}: {count} ({fraction:.0%})"
        color = "good" if row == column else "bad"
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell}" height="{cell}" '
            f'style="fill:rgb(var(--{color}) / {fraction**0.5 * 0.75:.2f})">'
            f"<title>{html.escape(tip)}</title></rect>"
        )
        if cell >= 2 * MIN_CELL or len(str(count)) * size * 0.6 < cell:
            letters = max(len(str(count)), 1)
            fitted = min(size, int((cell - 2) / letters / 0.6))
            parts.append(
                f'<text x="{x + cell / 2:.1f}" y="{y + cell / 2 + 0.35 * fitted:.1f}" text-anchor="middle" '
                f'style="font-size:{fitted}px;fill:var(--ink);pointer-events:none">{count}</text>'
            )
    return (
        f'<div class="scroll" style="max-height:none"><svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'style="width:{width:.0f}px;max-width:none">{"".join(parts)}</svg></div>'
    )


def most_confused(counts: NDArray[np.integer], most: int) -> NDArray[np.int64]:
    """Return the indices of at most ``most`` classes of a square matrix with the largest counts off the diagonal."""
    if len(counts) <= most:
        return np.arange(len(counts), dtype=np.int64)
    wrong = counts - np.diag(np.diagonal(counts))
    totals = wrong.sum(axis=0) + wrong.sum(axis=1)
    return np.sort(np.argsort(-totals.astype(np.int64), kind="stable")[:most])


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
