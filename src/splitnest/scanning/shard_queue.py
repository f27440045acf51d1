"""Queue of the shards of a worker: those that are not finished, and that no other worker has claimed."""

import random
import threading
import time
from collections.abc import Iterator

from splitnest.scanning.claims import Claims, claimed_shard
from splitnest.scanning.part import finished_shards, part_name
from splitnest.scanning.statistics import WorkerStatistics
from splitnest.scanning.storage import Storage

POLL_S, MAX_POLL_S = 0.5, 15.0
"""First and longest time between two looks at the shards that other workers have claimed."""

REFRESH_S = 30.0
"""Time after which the finished shards are listed again."""


class ShardQueue:
    """Queue of the unfinished shards of a worker, which claims each when it is taken.

    Args:
        storage: Output folder.
        num_shards: Number of shards of the scan.
        claims: Claims of this process; None claims nothing, where no other worker has the same shards.
        share: Number of this worker and number of workers, if each has a fixed share; None for all shards.
        statistics: Statistics of the worker; the number of finished shards is updated.
    """

    def __init__(
        self,
        storage: Storage,
        num_shards: int,
        claims: Claims | None,
        share: tuple[int, int] | None,
        statistics: WorkerStatistics,
    ) -> None:
        self._storage, self._claims, self._statistics = storage, claims, statistics
        number, count = share or (0, 1)
        self._num_shards, self._mine = num_shards, range(number, num_shards, count)
        self._finished: set[int] = set()
        self._listed = 0.0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make the iteration end."""
        self._stopped.set()

    def __iter__(self) -> Iterator[int]:
        """Yield the shards; with claims from a random one on, so that workers seldom meet."""
        mine = list(self._mine)
        if self._claims is not None and mine:
            start = random.randrange(len(mine))
            mine = mine[start:] + mine[:start]
        poll, given = POLL_S, set[int]()
        while True:
            self.refresh()
            left = [index for index in mine if index not in self._finished and index not in given]
            if not left:
                return
            claimed = 0
            for index in left:
                if self._stopped.is_set():
                    return
                if time.monotonic() - self._listed > REFRESH_S:
                    self.refresh()
                if index not in self._finished and self._claim(index):
                    given.add(index)
                    claimed += 1
                    yield index
            poll = POLL_S if claimed else min(2 * poll, MAX_POLL_S)
            if self._stopped.wait(poll):
                return

    def release(self, index: int) -> None:
        """Give up the claim of a finished shard."""
        if self._claims is not None:
            self._claims.release(index)

    def refresh(self) -> None:
        """List the finished shards."""
        self._finished = set(finished_shards(self._storage.names(), self._num_shards))
        self._statistics.num_finished = len(self._finished)
        self._listed = time.monotonic()

    def remove_claims(self) -> None:
        """Remove the claims of finished shards, whose workers were killed before they could."""
        for name in self._storage.names():
            index = claimed_shard(name)
            if index is not None and self._storage.exists(part_name(index)):
                self._storage.remove(name)

    def _claim(self, index: int) -> bool:
        if self._claims is None:
            return True
        if not self._claims.acquire(index):
            return False
        if self._storage.exists(part_name(index)):  # finished since the files were listed
            self._claims.release(index)
            self._finished.add(index)
            return False
        return True
