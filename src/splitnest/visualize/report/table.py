"""Tables of a report page: numbers, and numbers with bars."""

import html
from collections.abc import Sequence

Cell = str | int | float | None


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]], bars: Sequence[float] = ()) -> str:
    """Return a table as HTML.

    Args:
        header: Title of each column; the first column is on the left, as for names.
        rows: Cells of each row; integers as they are, other numbers with four significant digits, None as ``-``.
        bars: Number of each row that is drawn as a bar behind the last column; none are drawn by default.
    """
    longest = max((abs(value) for value in bars), default=0.0) or 1.0
    head = "".join(f"<th>{html.escape(title)}</th>" for title in header)
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(f"<td>{html.escape(shown(cell))}</td>" for cell in row)
        width = 100 * abs(bars[number]) / longest if bars else 0.0
        bar = f'<td class="bar"><i style="width:{width:.1f}%"></i></td>' if bars else ""
        lines.append(f"<tr>{cells}{bar}</tr>")
    last = "<th></th>" if bars else ""
    return f'<div class="scroll"><table><tr>{head}{last}</tr>\n' + "\n".join(lines) + "</table></div>"


def shown(cell: Cell) -> str:
    """Return the text of a cell."""
    if cell is None:
        return "-"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
