"""Statistics of a worker of a scan."""

import time
from dataclasses import dataclass, field


@dataclass
class WorkerStatistics:
    """Work of one worker.

    Attributes:
        shards, images, errors: Numbers of finished shards and of their rows.
        seconds: Time from the start to the last finished shard.
        overhead_s: Time in which files of results were written and claims given up.
        num_finished: Number of finished shards of all workers, when they were last listed.
    """

    shards: int = 0
    images: int = 0
    errors: int = 0
    seconds: float = 0.0
    overhead_s: float = 0.0
    num_finished: int = 0
    started: float = field(default_factory=time.perf_counter)

    def add_shard(self, images: int, errors: int, overhead_s: float) -> None:
        """Add a finished shard."""
        self.shards += 1
        self.images += images
        self.errors += errors
        self.overhead_s += overhead_s
        self.seconds = time.perf_counter() - self.started

    def describe(self) -> str:
        """Return the statistics in one line."""
        count = self.images + self.errors
        rate, overhead = count / max(self.seconds, 1e-9), self.overhead_s / max(self.shards, 1)
        return f"{self.shards} shards, {count} images, {rate:.2f} images/s, overhead {overhead:.3f} s a shard"
