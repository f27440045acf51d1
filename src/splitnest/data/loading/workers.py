"""Signals and deaths of data loading worker processes."""

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
"""Messages of torch about a dead worker: ``_error_if_any_worker_fails`` (C++) and ``_try_get_data``."""

MAX_EXIT_DELAY_S = 5.0
"""Maximum time between a broken connection and the system's report that the process at its other end exited."""


def ignore_signals(_: int) -> None:
    """Ignore SIGINT, and on Linux SIGTERM from any process but the parent, in a worker process.

    A terminal and a scheduler send these signals to all processes of a group, but the parent needs its workers to
    finish the step, and terminates them itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # other systems do not report the sender of a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_on_parent_signal, daemon=True).start()


def _exit_on_parent_signal() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux":
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent.pid:
            pass
        os._exit(0)


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Replace torch's error about a dead worker process by a plain one.

    Torch raises its error wherever the main process is at that moment, which may cause other errors there, or while it
    waits for a batch. A worker that dies while it sends a batch breaks the connection.

    Raises:
        DataError: A worker died.
    """
    try:
        yield
    except (RuntimeError, EOFError, ConnectionError) as error:
        match = _death_message(error)
        if match is None:
            raise
        reason = match[2].partition(". ")[0].rstrip(".")
        raise DataError(
            f"A data loading worker died (process {match[1]} {reason}), most likely because main memory or shared "
            f"memory (/dev/shm) ran out, or because it was killed. Use fewer workers (train.workers, or --workers of "
            f"eval), or 0."
        ) from error


def _death_message(error: BaseException) -> re.Match[str] | None:
    """Return torch's message about a dead worker in an error or one of its causes."""
    if not isinstance(error, RuntimeError):
        return DEAD.match(_next_torch_message())
    cause: BaseException | None = error
    while cause is not None:
        if match := DEAD.match(str(cause)):
            return match
        cause = cause.__context__
    return None


def _next_torch_message() -> str:
    """Return torch's message once the system reports the exit of a worker; an empty string if none exited."""
    try:
        time.sleep(MAX_EXIT_DELAY_S)
    except RuntimeError as error:
        return str(error)
    return ""
