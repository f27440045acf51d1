"""Signals, failures and deaths of data loading worker processes."""

import errno
import multiprocessing
import multiprocessing.queues
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from splitnest.errors import DataError, SplitnestError, UsageError

DEAD = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (.*)")
"""Messages of torch about a dead worker: ``_error_if_any_worker_fails`` (C++) and ``_try_get_data``."""

CANNOT_SEND, MAIN_IMPORTED = 74, 64
"""Exit codes of a worker that cannot send a batch, and of one whose main script would start workers."""

ADVICE = (
    "Use fewer workers (train.workers, or --workers of eval) or 0, smaller batches, more shared memory (docker run "
    "--shm-size=8g), or allow more open files (ulimit -n)."
)

MAX_EXIT_DELAY_S = 5.0
"""Maximum time between a broken connection and the system's report that the process at its other end exited."""


def initialize_worker(_: int) -> None:
    """Initialize a worker process: it leaves signals to its parent, and ends where its threads fail."""
    _ignore_signals()
    # A queue's thread sends batches, another one descriptors; their errors would be printed and the parent wait on.
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(  # type: ignore[attr-defined]
        lambda error, _: _exit_on_error(error)
    )
    sys.excepthook = lambda _, error, __: _exit_on_error(error)
    threading.excepthook = lambda args: _exit_on_error(args.exc_value)


def check_main_is_guarded(workers: int) -> None:
    """End this process if the main script, which it was started to import as a worker, starts workers itself.

    Called before workers are started. The parent recognizes the exit code.
    """
    if workers and any(_is_module(frame, "__mp_main__") for frame, _ in traceback.walk_stack(None)):
        os._exit(MAIN_IMPORTED)


def _ignore_signals() -> None:
    """Ignore SIGINT and SIGHUP, and on Linux SIGTERM from any process but the parent.

    A terminal and a scheduler send these signals to all processes of a group, but the parent needs its workers to
    finish the step, and terminates them itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":  # other systems do not report the sender of a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_on_parent_signal, daemon=True).start()


def _exit_on_error(error: BaseException | None) -> None:
    text = f"Data loading worker {os.getpid()} cannot send its images: {error or 'unknown error'}\n"
    with suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace"))
    os._exit(CANNOT_SEND)


def _is_module(frame: FrameType, name: str) -> bool:
    """Return whether a frame runs the body of a module."""
    return frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == name


def _exit_on_parent_signal() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux":
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent.pid:
            pass
        os._exit(0)


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Replace torch's error about a dead worker process, or about too many open files, by a plain one.

    Torch raises its error wherever the main process is at that moment, which may cause other errors there, or while it
    waits for a batch. A worker that dies while it sends a batch breaks the connection.

    Raises:
        DataError: A worker died, or too many files are open.
        UsageError: Workers import a main script that starts workers.
    """
    try:
        yield
    except (RuntimeError, EOFError, OSError) as error:
        if is_too_many_files(error):
            raise DataError(
                f"Data loading workers need more open files than this process may have. {ADVICE}"
            ) from error
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            raise
        match = _death_message(error)
        if match is None and not (multiprocessing.get_start_method() == "forkserver" and _is_connection_error(error)):
            raise
        raise _explain(match) from error


def is_too_many_files(error: BaseException) -> bool:
    """Return whether an error, or torch's translation of it, says that too many files are open."""
    if isinstance(error, OSError):
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return isinstance(error, RuntimeError) and "Too many open files" in str(error)


def _is_connection_error(error: BaseException) -> bool:
    return isinstance(error, EOFError | ConnectionError)


def _explain(match: re.Match[str] | None) -> SplitnestError:
    """Return the error for torch's message about a dead worker; None for a fork server that died."""
    reason = "" if match is None else match[2].partition(". ")[0].rstrip(".")
    if match is None or reason.endswith(f"exit code {MAIN_IMPORTED}"):
        return UsageError(
            f"{main_line()}: data loading workers import this script (start method "
            f"{multiprocessing.get_start_method()}), and would start workers themselves. Put what it does under "
            f'if __name__ == "__main__":, or set the number of workers to 0 (train.workers).'
        )
    if reason.endswith(f"exit code {CANNOT_SEND}"):
        return DataError(
            f"A data loading worker (process {match[1]}) could not send its images; see its message. Shared memory "
            f"(/dev/shm) or the number of open files is too small. {ADVICE}"
        )
    return DataError(
        f"A data loading worker died (process {match[1]} {reason}), most likely because main memory or shared memory "
        f"(/dev/shm) ran out, or because it was killed. {ADVICE}"
    )


def main_line() -> str:
    """Return the file and line at which the main script is, where it is known."""
    lines = [(f.f_code.co_filename, n) for f, n in traceback.walk_stack(None) if _is_module(f, "__main__")]
    return (
        "{}, line {}".format(*lines[-1]) if lines else str(getattr(sys.modules["__main__"], "__file__", "The script"))
    )


def _death_message(error: BaseException) -> re.Match[str] | None:
    """Return torch's message about a dead worker in an error or its causes, of which the first has the exit code."""
    if not isinstance(error, RuntimeError):
        return DEAD.match(_next_torch_message())
    match: re.Match[str] | None = None
    cause: BaseException | None = error
    while cause is not None:
        match = DEAD.match(str(cause)) or match
        cause = cause.__context__
    return match


def _next_torch_message() -> str:
    """Return torch's message once the system reports the exit of a worker; an empty string if none exited."""
    try:
        time.sleep(MAX_EXIT_DELAY_S)
    except RuntimeError as error:
        return str(error)
    return ""
