"""Processes that read photographs: what signals mean to them, and what is said when one dies."""

import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from splitnest.errors import DataError

DEAD = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (.*)")
"""How torch says that a worker died: ``_error_if_any_worker_fails`` (C++) and ``_try_get_data``."""


def leave_signals_to_the_parent(_: int) -> None:
    """Ignore SIGINT, and on Linux SIGTERM from anyone but the parent; to be called in a worker.

    A terminal and a scheduler send them to all processes of a group, while the parent needs its workers to finish the
    step, and ends them itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # others do not tell who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_the_parent_says, daemon=True).start()


def _end_when_the_parent_says() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux":
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent.pid:
            pass
        os._exit(0)


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Say in a plain sentence that a worker died.

    Torch says so wherever the main process is at that moment, or else when a batch is waited for.

    Raises:
        DataError: A worker died.
    """
    try:
        yield
    except RuntimeError as error:
        found = DEAD.match(str(error))
        if found is None:
            raise
        what = found[2].partition(". ")[0].rstrip(".")
        raise DataError(
            f"A process that reads images has died (process {found[1]} {what}): most likely memory ran out, the "
            f"machine's or the shared one (/dev/shm), or somebody ended it. Set fewer workers (train.workers, or "
            f"--workers of eval), or 0 to read without them."
        ) from error
