"""Metrics log of a run: rows of losses and metrics as JSON lines and CSV."""

import csv
import io
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from splitnest.errors import first_few
from splitnest.files import output_errors, write_text

Row = Mapping[str, float]

JSON_FILE, CSV_FILE = "metrics.jsonl", "metrics.csv"

DETAILS = re.compile(r"_ar\d*(_|$)|_(small|medium|large)$|^[sr]q(_|$)")
"""Names of detailed metrics: recall, one area range, and the factors of panoptic quality."""


def headline(metrics: Row) -> dict[str, float]:
    """Return the metrics that are printed and plotted."""
    return {name: value for name, value in metrics.items() if not DETAILS.search(name)}


class MetricsLog:
    """``metrics.jsonl`` and ``metrics.csv`` of a run folder.

    A JSON line has the values of its step. The CSV file has a column for each name, with 6 digits, and is rewritten
    when a new name occurs. A resumed run drops the rows of later steps, which are trained again. Damaged lines are
    reported and moved to ``metrics.jsonl.damaged``.

    Args:
        folder: Run folder.
        done: Number of steps done.

    Attributes:
        rows: All rows, in order.

    Raises:
        OutputError: A file cannot be written.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._json, self._csv = folder / JSON_FILE, folder / CSV_FILE
        self.rows: list[Row] = [row for row in _read(self._json) if row["step"] <= done]
        write_text(self._json, "".join(json.dumps(row) + "\n" for row in self.rows))
        self._write_csv()

    def append(self, row: Row) -> None:
        """Add the row of a step, with at least the key ``step``."""
        self.rows.append(row)
        with output_errors(self._json), self._json.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if not row.keys() <= self._columns.keys():
            self._write_csv()
            return
        with output_errors(self._csv), self._csv.open("a", encoding="utf-8", newline="") as file:
            file.write(self._csv_text([row]))

    def _write_csv(self) -> None:
        self._columns = dict.fromkeys(name for row in self.rows for name in row)
        header = ",".join(self._columns) + "\n" if self._columns else ""
        write_text(self._csv, header + self._csv_text(self.rows))

    def _csv_text(self, rows: list[Row]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in rows:
            values = (row.get(name, "") for name in self._columns)
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
        return text.getvalue()


def _read(path: Path) -> list[Row]:
    """Return the rows of a file, without damaged lines; an incomplete last line, from a crash, is dropped."""
    with output_errors(path):
        if not path.exists():
            return []
        lines = path.read_bytes().split(b"\n")
    rows = [_parse(line) for line in lines[:-1]]
    damaged = [number for number, row in enumerate(rows) if row is None]
    if damaged:
        aside = path.with_name(f"{path.name}.damaged")
        with output_errors(aside), aside.open("ab") as file:
            file.writelines(lines[number] + b"\n" for number in damaged)
        numbers = first_few([number + 1 for number in damaged])
        print(
            f"{path} is damaged in {'line' if len(damaged) == 1 else 'lines'} {numbers}, which "
            f"{'is' if len(damaged) == 1 else 'are'} moved to {aside.name}; the log goes on without.",
            file=sys.stderr,
        )
    return [row for row in rows if row is not None]


def _parse(line: bytes) -> Row | None:
    """Return the row of a line; None for a damaged line."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    is_row = isinstance(row, dict) and all(type(value) in (int, float) for value in row.values())
    return row if is_row and type(row.get("step")) is int else None
