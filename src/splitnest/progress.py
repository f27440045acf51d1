"""Progress of iterations with rate, remaining time and memory: a bar on a terminal, otherwise plain lines."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
LINE_INTERVAL_S = 10.0
"""Interval between lines in seconds."""

PROGRESS_FROM = 200
"""Number of images from which reading all of them before the work begins, which takes seconds, shows progress."""


def track(items: Iterable[Item], total: int, label: str, unit: str = "images") -> Iterator[Item]:
    """Yield items, and show the progress on standard error in the main process.

    Args:
        items: Items to iterate over.
        total: Number of items.
        label: Name of the work.
        unit: Plural name of the items, as in ``images``.
    """
    from splitnest.distributed import is_main_process

    if not is_main_process():
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, total, label, unit)
    else:
        yield from _lines(items, total, label, unit)


def memory_mb() -> int:
    """Return the peak resident memory of this process in MiB; 0 on systems that do not report it."""
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
        if now - printed >= LINE_INTERVAL_S or done == total:
            rate = done / (now - start)
            left = (total - done) / rate
            print(
                f"{label}: {done}/{total}, {rate:.2f} {unit}/s, {left:.0f} s left, {memory_mb()} MB",
                file=sys.stderr,
                flush=True,
            )
            printed = now
