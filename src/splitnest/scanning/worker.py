"""Worker of a scan: predicts shards until all of them are finished."""

from collections.abc import Callable
from contextlib import nullcontext

from splitnest.scanning.claims import Claims
from splitnest.scanning.columns import Row
from splitnest.scanning.scanner import Scanner
from splitnest.scanning.shard_queue import ShardQueue
from splitnest.scanning.statistics import WorkerStatistics


def run_worker(
    scanner: Scanner,
    share: tuple[int, int] | None,
    statistics: WorkerStatistics,
    on_row: Callable[[Row], None] = lambda _: None,
    *,
    claims: bool = True,
) -> None:
    """Predict the shards of a worker until all of them are finished, by it or by others.

    Args:
        scanner: Model and output folder.
        share: Number of this worker and number of workers; None for all shards.
        statistics: Statistics that are updated.
        on_row: Function that is called with each row.
        claims: Whether other workers may take the same shards.

    Raises:
        DataError: A store does not answer, or a Parquet file cannot be read.
        OutputError: A file cannot be written.
    """
    held = Claims(scanner.storage) if claims else None
    with held or nullcontext():
        queue = ShardQueue(scanner.storage, scanner.manifest.num_shards, held, share, statistics)
        try:
            scanner.run(iter(queue), statistics, on_row, queue.release)
        finally:
            queue.stop()
        queue.remove_claims()
        queue.refresh()
