"""What looking a data set over finds, of whatever kind it is: what is odd, and what would stop a training."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from splitnest.errors import DataError
from splitnest.progress import track

if TYPE_CHECKING:
    from rich.console import Console

MAX_EXAMPLES = 5
"""Cases of an oddity, and faults, that are printed; the rest are counted."""

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Findings:
    """What is found in any data set.

    Attributes:
        source: What was looked over.
        photographs: All that it has.
        oddities: What is odd -> a line for each case. A training goes on in spite of it.
        faults: What would stop a training, a line each.
    """

    source: str
    photographs: int
    oddities: dict[str, tuple[str, ...]]
    faults: tuple[str, ...]

    def raise_faults(self) -> None:
        """Raise what would stop a training, if there is anything.

        Raises:
            DataError: Its message is the first fault, and how many there are.
        """
        if self.faults:
            more = len(self.faults) - 1
            besides = "There is 1 more fault." if more == 1 else f"There are {more} more faults."
            raise DataError(self.faults[0] + (f" {besides}" if more else ""))


def read_all(read: Callable[[int], _Found], count: int) -> Iterator[_Found]:
    """Yield ``read`` of each index, in order, several at a time: Pillow decodes outside of Python's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from track(pool.map(read, range(count)), count, "reading photographs")


def print_findings(findings: Findings, console: "Console") -> None:
    """Print oddities and faults."""
    from rich.markup import escape

    for what, lines in findings.oddities.items():
        console.print(f"[yellow]note:[/] {escape(what)}: {escape(_some(lines))}")
    if findings.faults:
        console.print(f"[red]fault:[/] {escape(_some(findings.faults))}")


def size_range(smallest: tuple[int, int], largest: tuple[int, int]) -> str:
    """Return words for the sizes of photographs, width x height, from two (height, width)."""
    first, last = (f"{width} x {height}" for height, width in (smallest, largest))
    return first if first == last else f"{first} to {last}"


def _some(lines: tuple[str, ...]) -> str:
    shown = "\n  ".join(lines[:MAX_EXAMPLES])
    more = f"\n  and {len(lines) - MAX_EXAMPLES} more" if len(lines) > MAX_EXAMPLES else ""
    return f"{len(lines)}\n  {shown}{more}"
