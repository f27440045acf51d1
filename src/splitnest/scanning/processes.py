"""Scan in several processes of one machine. One that is killed is replaced, as long as shards are being finished."""

import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from types import FrameType

from splitnest.data.loading.workers import MAIN_IMPORTED, check_main_is_guarded, main_line
from splitnest.distributed import ProcessFailedError, check_devices
from splitnest.errors import Interrupted, SplitnestError, UsageError, tell
from splitnest.progress import LINE_INTERVAL_S
from splitnest.scanning.job import ScanJob, on_device
from splitnest.scanning.manifest import Manifest, read_manifest
from splitnest.scanning.part import finished_shards
from splitnest.scanning.progress import remaining
from splitnest.scanning.storage import Storage, open_storage

MAX_DEATHS = 3
"""Number of processes that may be killed in a row, for each device, without a finished shard between."""

_POLL_S = 0.2


def run_processes(job: ScanJob, count: int) -> None:
    """Run the worker of a scan in several processes, which claim shards from each other, and wait for them.

    Args:
        job: Scan.
        count: Number of processes, at most the number of GPUs where there are any.

    Raises:
        UsageError: The machine has fewer GPUs, or a script lacks ``if __name__ == "__main__"``.
        Interrupted: A process received a signal.
        ProcessFailedError: A process failed, with its exit code, or processes are killed again and again.
    """
    check_main_is_guarded(count)
    check_devices(count)
    threads = str(max(1, (os.cpu_count() or 1) // count))
    given = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("OMP_NUM_THREADS", threads)  # otherwise each process would use all cores
    group = _Group(job, count)
    try:
        group.run()
    finally:
        group.end()
        if given is None:
            del os.environ["OMP_NUM_THREADS"]


class _Group:
    """Processes of a scan by their number."""

    def __init__(self, job: ScanJob, count: int) -> None:
        self._job, self._count = job, count
        self._storage: Storage = open_storage(job.out)
        self._processes: dict[int, BaseProcess] = {}
        self._deaths = 0
        self._finished = -1
        self._first: int | None = None
        self._started = self._told = time.monotonic()

    def run(self) -> None:
        """Start the processes, and wait until all have ended well."""
        for number in range(self._count):
            self._start(number)
        while self._processes:
            for number, process in list(self._processes.items()):
                process.join(_POLL_S / self._count)
                if process.exitcode is not None:
                    del self._processes[number]
                    self._ended(number, process.exitcode)
            if time.monotonic() - self._told > LINE_INTERVAL_S:
                self._tell_progress()

    def end(self) -> None:
        """Interrupt the processes that still run, and wait for them."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.join()

    def _start(self, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        arguments = (on_device(self._job, number), list(sys.path))
        process = context.Process(target=_work, args=arguments, name=f"splitnest-scan-{number}")
        process.start()
        self._processes[number] = process

    def _ended(self, number: int, code: int) -> None:
        if code == 0:
            return
        if code == MAIN_IMPORTED:
            raise UsageError(
                f"{main_line()}: the processes of a scan import this script, and would start a scan themselves. Put "
                f'what it does under if __name__ == "__main__":, or use one device.'
            )
        if code == Interrupted.exit_code:
            raise Interrupted(f"Process {number} of {self._count} was interrupted.")
        if code > 0:
            failed = ProcessFailedError(f"Process {number} of {self._count} ended with an error; see above.")
            failed.exit_code = code
            raise failed
        finished = self._count_finished()
        self._deaths = self._deaths + 1 if finished == self._finished else 1
        self._finished = finished
        name = signal.Signals(-code).name
        if self._deaths > MAX_DEATHS * self._count:
            raise ProcessFailedError(
                f"Process {number} of {self._count} was killed by {name}, the {self._deaths}th time without a finished "
                f"shard between. Check the memory of the machine, then run the scan again."
            )
        tell(f"note: process {number} of {self._count} was killed by {name} and is started again")
        self._start(number)

    def _count_finished(self) -> int:
        return len(finished_shards(self._storage.names(), sys.maxsize))

    def _tell_progress(self) -> None:
        self._told = time.monotonic()
        manifest = self._manifest()
        if manifest is None:
            return
        finished = self._count_finished()
        if self._first is None:
            self._first, self._started = finished, self._told
        left = remaining(self._told - self._started, finished - self._first, manifest.num_shards - finished)
        tell(f"scanning: {finished}/{manifest.num_shards} shards by {self._count} processes, {left}")

    def _manifest(self) -> Manifest | None:
        try:
            return read_manifest(self._storage)
        except SplitnestError:  # the processes are still listing the sources
            return None


def _work(job: ScanJob, path: list[str]) -> None:
    """Run one process; its exit code is that of the error, which it prints."""
    sys.path[:] = path
    signal.signal(signal.SIGTERM, _exit_interrupted)
    for name in ("SIGINT", "SIGHUP"):  # a terminal sends them to all processes; the first one forwards them
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        statistics = job.run(quiet=True)
    except SplitnestError as error:
        tell(f"error: {error}")
        sys.exit(error.exit_code)
    tell(f"{multiprocessing.current_process().name}: {statistics.describe()}")


def _exit_interrupted(number: int, frame: FrameType | None) -> None:
    sys.exit(Interrupted.exit_code)
