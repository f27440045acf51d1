"""Processes that read photographs: what signals mean to them, and what is said when one dies."""

import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from splitnest.errors import DataError

DEAD = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (.*)")
"""How torch says that a worker died: ``_error_if_any_worker_fails`` (C++) and ``_try_get_data``."""

SECONDS_TO_DIE = 5.0
"""Longest time from a broken connection to the news that the process at its other end is dead."""


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

    Torch raises an error wherever the main process is at that moment, which may lead to others there, or else when a
    batch is waited for. A worker that dies while it hands a batch over breaks the connection.

    Raises:
        DataError: A worker died.
    """
    try:
        yield
    except (RuntimeError, EOFError, ConnectionError) as error:
        found = _news(error)
        if found is None:
            raise
        what = found[2].partition(". ")[0].rstrip(".")
        raise DataError(
            f"A process that reads images has died (process {found[1]} {what}): most likely memory ran out, the "
            f"machine's or the shared one (/dev/shm), or somebody ended it. Set fewer workers (train.workers, or "
            f"--workers of eval), or 0 to read without them."
        ) from error


def _news(error: BaseException) -> re.Match[str] | None:
    """Return what an error, or one that it came from, tells of the death of a worker."""
    if not isinstance(error, RuntimeError):
        return DEAD.match(_last_words())
    cause: BaseException | None = error
    while cause is not None:
        if found := DEAD.match(str(cause)):
            return found
        cause = cause.__context__
    return None


def _last_words() -> str:
    """Return what torch says of a worker's end as soon as the system tells of it; nothing if no worker has ended."""
    try:
        time.sleep(SECONDS_TO_DIE)
    except RuntimeError as error:
        return str(error)
    return ""
