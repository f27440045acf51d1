"""Scan on a cluster of Ray: Ray Data hands whole shards to a pool of actors, each with one model."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from splitnest.errors import SplitnestError, UsageError, tell
from splitnest.scanning.job import ScanJob
from splitnest.scanning.part import finished_shards, part_name
from splitnest.scanning.progress import ScanProgress
from splitnest.scanning.scanner import Scanner
from splitnest.scanning.statistics import WorkerStatistics
from splitnest.scanning.storage import open_storage

WAIT_S = 30.0
"""Time without a finished shard after which a note says what the cluster has and needs."""


def import_ray() -> Any:
    """Import the optional package Ray with Ray Data.

    Raises:
        UsageError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(
            "--engine ray needs the package ray, which is not installed. Run pip install 'splitnest[ray]'."
        ) from error
    return ray


class RemoteError(SplitnestError):
    """Error of an actor; it has the exit code of the error there."""


class ShardActor:
    """Actor that predicts shards; the model is loaded for the first one.

    Args:
        job: Scan.
    """

    def __init__(self, job: ScanJob) -> None:
        self._job = job
        self._scanner: Scanner | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Predict the shards of a batch of numbers, and return the numbers of their rows, or an error."""
        rows = [self._run(int(index)) for index in batch["shard"]]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _run(self, index: int) -> dict[str, Any]:
        statistics = WorkerStatistics()
        try:
            if self._scanner is None:
                self._scanner = self._job.open()
            if not self._scanner.storage.exists(part_name(index)):  # an actor may have died after it wrote the file
                self._scanner.run(iter([index]), statistics)
        except SplitnestError as error:
            return _row(index, statistics, str(error), error.exit_code)
        return _row(index, statistics)


def _row(index: int, statistics: WorkerStatistics, error: str = "", exit_code: int = 0) -> dict[str, Any]:
    counts = {"images": statistics.images, "errors": statistics.errors, "overhead_s": statistics.overhead_s}
    return {"shard": index, **counts, "error": error, "exit_code": exit_code}


def _count_shards(job: ScanJob) -> dict[str, Any]:
    """Write the manifest on a machine of the cluster, and return the number of shards, or an error."""
    try:
        return _row(job.open().manifest.num_shards, WorkerStatistics())
    except SplitnestError as error:
        return _row(0, WorkerStatistics(), str(error), error.exit_code)


def run_on_ray(job: ScanJob, count: int) -> None:
    """Run a scan on Ray: on the cluster of ``RAY_ADDRESS``, or one that is started here and ended afterwards.

    Args:
        job: Scan without a fixed share.
        count: Maximum number of actors; Ray starts them as the cluster has room.

    Raises:
        UsageError: Ray is not installed, or the cluster has no GPU for ``--device cuda``.
        RemoteError: An actor failed.
    """
    ray = import_ray()
    if job.share is not None:
        raise UsageError("Ray divides the shards among its actors. Omit --shard or --engine ray.")
    with _cluster(ray):
        resources = _resources(ray, job, count)
        found = _waiting(ray, ray.remote(**resources)(_count_shards).remote(job), resources)
        _raise_error(found)
        storage, num_shards = open_storage(job.out), int(found["shard"])
        finished = set(finished_shards(storage.names(), num_shards))
        left = [{"shard": index} for index in range(num_shards) if index not in finished]
        if left:
            _run(ray, job, left, num_shards, min(count, len(left)), resources)


def _run(
    ray: Any, job: ScanJob, left: list[dict[str, int]], num_shards: int, count: int, resources: dict[str, float]
) -> None:
    statistics = WorkerStatistics(num_finished=num_shards - len(left))
    progress = ScanProgress(num_shards, statistics)
    shards = ray.data.from_items(left, override_num_blocks=len(left)).map_batches(
        ShardActor,
        fn_constructor_args=(job,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count),
        **resources,
    )
    with _watched(ray, resources) as progressed:
        for row in shards.iter_rows():
            _raise_error(row)
            progressed.set()
            statistics.add_shard(row["images"], row["errors"], row["overhead_s"])
            statistics.num_finished += 1
            progress.on_shard(row["images"], row["errors"])
    tell(f"Ray, at most {count} actors: {statistics.describe()}")


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """Connect to a cluster; one that is started here is ended."""
    if ray.is_initialized():
        yield
        return
    ray.init(logging_level="ERROR", include_dashboard=False if "RAY_ADDRESS" not in os.environ else None)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()


def _resources(ray: Any, job: ScanJob, count: int) -> dict[str, float]:
    """Return the resources of an actor: a GPU, or a share of the CPUs that leaves one for the tasks of Ray Data."""
    has = ray.cluster_resources()
    wants_gpu = job.device.startswith("cuda") or (job.device == "auto" and has.get("GPU", 0) > 0)
    if wants_gpu and not has.get("GPU", 0):
        raise UsageError("The cluster of Ray has no GPU. Start it with GPUs, or omit --device cuda.")
    cpus = float(has.get("CPU", 0))
    share = (cpus - 1) / count if cpus > 1 else 0.5
    return {"num_cpus": round(min(1.0, share), 2) or 0.01, "num_gpus": 1.0 if wants_gpu else 0.0}


def _waiting(ray: Any, reference: Any, resources: dict[str, float]) -> Any:
    """Return the value of a task; a note says what it waits for."""
    with _watched(ray, resources):
        return ray.get(reference)


@contextmanager
def _watched(ray: Any, resources: dict[str, float]) -> Iterator[threading.Event]:
    """Print a note each time that nothing has progressed for ``WAIT_S``; the event says that something has."""
    progressed, ended = threading.Event(), threading.Event()

    def watch() -> None:
        while not ended.wait(WAIT_S):
            if not progressed.is_set():
                has, free = ray.cluster_resources(), ray.available_resources()
                shown = ", ".join(
                    f"{free.get(name, 0):g} of {has.get(name, 0):g} {name}s free" for name in ("CPU", "GPU")
                )
                tell(
                    f"note: no shard was finished in {WAIT_S:g} s. An actor takes {resources['num_cpus']:g} CPUs and "
                    f"{resources['num_gpus']:g} GPUs; the cluster has {shown}."
                )
            progressed.clear()

    thread = threading.Thread(target=watch, name="splitnest-ray", daemon=True)
    thread.start()
    try:
        yield progressed
    finally:
        ended.set()
        thread.join()


def _raise_error(row: Mapping[str, Any]) -> None:
    if row["error"]:
        error = RemoteError(row["error"])
        error.exit_code = int(row["exit_code"])
        raise error
