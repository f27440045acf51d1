"""Progress of long work: a bar with rate, remaining time and memory; plain lines where the output is no terminal."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
LINE_EVERY_SECONDS = 10.0


def track(items: Iterable[Item], total: int, label: str, unit: str = "images") -> Iterator[Item]:
    """Yield ``items`` and show on standard error how far the work is; of several processes the first one shows it.

    Args:
        items: What is worked on.
        total: How many there are.
        label: What is being done.
        unit: What an item is called.
    """
    from splitnest.processes import is_first

    if not is_first():
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, total, label, unit)
    else:
        yield from _lines(items, total, label, unit)


def memory_mb() -> int:
    """Return the peak resident memory of this process in megabytes (2**20 bytes); 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


def _bar(items: Iterable[Item], total: int, label: str, unit: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[memory]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total, rate="", memory="")
        start = time.perf_counter()
        for done, item in enumerate(items, 1):
            yield item
            rate = done / (time.perf_counter() - start)
            progress.update(task, completed=done, rate=f"{rate:.2f} {unit}/s", memory=f"{memory_mb()} MB")


def _lines(items: Iterable[Item], total: int, label: str, unit: str) -> Iterator[Item]:
    start = printed = time.perf_counter()
    for done, item in enumerate(items, 1):
        yield item
        now = time.perf_counter()
        if now - printed >= LINE_EVERY_SECONDS or done == total:
            rate = done / (now - start)
            left = (total - done) / rate
            print(
                f"{label}: {done}/{total}, {rate:.2f} {unit}/s, {left:.0f} s left, {memory_mb()} MB",
                file=sys.stderr,
                flush=True,
            )
            printed = now
