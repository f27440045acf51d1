"""The log of a run: a row of numbers every few steps, as CSV, as JSON lines and for TensorBoard."""

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

from splitnest.files import replacing
from splitnest.training.tensorboard import EventLog

Row = Mapping[str, float]

DETAILS = re.compile(r"_ar\d*(_|$)|_(small|medium|large)$|^[sr]q(_|$)")
"""What the names of metrics have that are of one size of objects, recalls, or factors of panoptic quality."""


def headline(metrics: Row) -> dict[str, float]:
    """Return the metrics that are worth a line on the screen and a curve."""
    return {name: value for name, value in metrics.items() if not DETAILS.search(name)}


class MetricsLog:
    """``metrics.jsonl`` and ``metrics.csv`` of a run folder: the same rows, one a step, each on the disk at once.

    Where TensorBoard is installed, its event files hold them too (``EventLog``).

    A JSON line holds what its step has; the CSV file has a column for everything, with 6 digits, and is written anew
    when a column comes in. A run that resumes goes on behind its checkpoint: rows of later steps are dropped, as those
    steps are taken again.

    Attributes:
        rows: All rows, in order.

    Args:
        folder: Of the run.
        done: Steps that are done.

    Raises:
        OSError: A file cannot be read or written.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._json, self._csv = folder / "metrics.jsonl", folder / "metrics.csv"
        self.rows: list[Row] = [row for row in _read(self._json) if row["step"] <= done]
        with replacing(self._json) as file:
            file.write("".join(json.dumps(row) + "\n" for row in self.rows).encode())
        self._write_csv()
        self._events = EventLog(folder, done)

    def append(self, row: Row) -> None:
        """Add the row of a step, which holds at least ``step``."""
        self.rows.append(row)
        with self._json.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._events.append(row)
        if not row.keys() <= self._columns.keys():
            self._write_csv()
            return
        with self._csv.open("a", encoding="utf-8", newline="") as file:
            file.write(self._csv_text([row]))

    def _write_csv(self) -> None:
        self._columns = dict.fromkeys(name for row in self.rows for name in row)
        with replacing(self._csv) as file:
            header = ",".join(self._columns) + "\n" if self._columns else ""
            file.write((header + self._csv_text(self.rows)).encode())

    def _csv_text(self, rows: list[Row]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in rows:
            values = (row.get(name, "") for name in self._columns)
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
        return text.getvalue()


def _read(path: Path) -> list[Row]:
    """The rows of a file; a last line that was cut short when the machine stopped is none."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
