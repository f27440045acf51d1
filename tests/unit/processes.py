"""The command line in real processes, each forked from one that has imported torch already."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["splitnest.trainer", "splitnest.cli"])


def start(*arguments: str | Path, log: Path) -> BaseProcess:
    """Start ``splitnest`` in a process that writes to the file ``log``."""
    process = CONTEXT.Process(target=_main, args=([str(argument) for argument in arguments], log))
    process.start()
    return process


def wait_for(condition: Callable[[], bool], process: BaseProcess, seconds: float = 60) -> None:
    """Wait until something is true while a process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.is_alive(), f"the process ended with {process.exitcode}"
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def children(process: BaseProcess) -> list[int]:
    """Return the numbers of the processes that a process started (Linux)."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in text.split()]


def _main(arguments: list[str], log: Path) -> None:
    multiprocessing.set_start_method("fork", force=True)  # as the command line has it, not as this process was made
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background have it ignored
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["splitnest", *arguments]
    from splitnest.cli import main

    main()
