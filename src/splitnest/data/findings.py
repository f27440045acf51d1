"""Findings of a dataset check: anomalies, and faults that would stop a training."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from splitnest.errors import DataError, printable
from splitnest.progress import track

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MAX_EXAMPLES = 5
"""Number of cases of an anomaly, and of faults, that are printed."""

T = TypeVar("T")


@dataclass(frozen=True)
class Findings:
    """Findings in a dataset of any task.

    Attributes:
        source: Annotation file or image folder.
        num_images: Number of images.
        anomalies: Kind of anomaly -> one line for each case. Training is possible in spite of them.
        faults: Faults that would stop a training, one line each.
    """

    source: str
    num_images: int
    anomalies: dict[str, tuple[str, ...]]
    faults: tuple[str, ...]

    def raise_faults(self) -> None:
        """Raise a DataError with the first fault and the number of others, if there are any."""
        if self.faults:
            more = len(self.faults) - 1
            others = "There is 1 more fault." if more == 1 else f"There are {more} more faults."
            raise DataError(self.faults[0] + (f" {others}" if more else ""))


def read_all(read: Callable[[int], T], count: int) -> Iterator[T]:
    """Yield ``read(index)`` for each index in order, computed by several threads; Pillow decodes outside the GIL."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from track(pool.map(read, range(count)), count, "reading images")


def facts_table(title: str) -> "Table":
    """Return an empty table of two columns, name and value."""
    from rich.markup import escape
    from rich.table import Table

    return Table(show_header=False, box=None, pad_edge=False, title=escape(title), title_justify="left")


def print_findings(findings: Findings, console: "Console") -> None:
    """Print the anomalies and faults."""
    from rich.markup import escape

    for kind, lines in findings.anomalies.items():
        console.print(f"[yellow]note:[/] {escape(kind)}: {escape(_first_lines(lines))}")
    if findings.faults:
        console.print(f"[red]fault:[/] {escape(_first_lines(findings.faults))}")


def size_range(smallest: tuple[int, int], largest: tuple[int, int]) -> str:
    """Return a range of image sizes as text, width x height, from two (height, width)."""
    first, last = (f"{width} x {height}" for height, width in (smallest, largest))
    return first if first == last else f"{first} to {last}"


def _first_lines(lines: tuple[str, ...]) -> str:
    shown = "\n  ".join(map(printable, lines[:MAX_EXAMPLES]))
    more = f"\n  and {len(lines) - MAX_EXAMPLES} more" if len(lines) > MAX_EXAMPLES else ""
    return f"{len(lines)}\n  {shown}{more}"
