"""Progress of a scan: lines on standard error with shards, rate, remaining time and errors."""

import time
from collections.abc import Mapping
from typing import Any

from splitnest.errors import tell
from splitnest.progress import LINE_INTERVAL_S, memory_mb
from splitnest.scanning.statistics import WorkerStatistics


class ScanProgress:
    """Lines on the progress of one worker and of the whole scan.

    Args:
        num_shards: Number of shards of the scan.
        statistics: Statistics of the worker.
    """

    def __init__(self, num_shards: int, statistics: WorkerStatistics) -> None:
        self._num_shards, self._statistics = num_shards, statistics
        self._rows = self._errors = 0
        self._first: int | None = None
        self._started = self._told = time.monotonic()

    def on_row(self, row: Mapping[str, Any]) -> None:
        """Count a row, and print a line if the last one is older than ``LINE_INTERVAL_S``."""
        self._rows += 1
        self._errors += row.get("error") is not None
        self._tell()

    def on_shard(self, images: int, errors: int) -> None:
        """Count the rows of a shard that another process finished, and print a line as ``on_row`` does."""
        self._rows += images + errors
        self._errors += errors
        self._tell()

    def _tell(self) -> None:
        now, finished = time.monotonic(), self._statistics.num_finished
        if self._first is None:
            self._first = finished
        if now - self._told < LINE_INTERVAL_S:
            return
        self._told = now
        elapsed = now - self._started
        done = max(finished - self._first, self._statistics.shards)
        total = max(finished, self._first + self._statistics.shards)
        tell(
            f"scanning: {total}/{self._num_shards} shards, {self._rows} images here, {self._errors} errors, "
            f"{self._rows / elapsed:.2f} images/s, {remaining(elapsed, done, self._num_shards - total)}, "
            f"{memory_mb()} MB"
        )


def remaining(elapsed_s: float, done: int, left: int) -> str:
    """Return the time that is left, in words.

    Args:
        elapsed_s: Time since the start in seconds.
        done: Number of shards that were finished in it.
        left: Number of shards that are left.
    """
    if not done:
        return "time left unknown"
    seconds = elapsed_s / done * left
    return f"{seconds:.0f} s left" if seconds < 600 else f"{seconds / 3600:.1f} h left"
