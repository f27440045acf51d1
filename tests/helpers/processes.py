"""Functions and the command line in real processes, each forked from one that has imported torch already."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["helpers.preloaded"])


def start_function(function: Callable[..., Any], *arguments: Any, log: Path) -> BaseProcess:
    """Start a function in a process that writes to the file ``log`` and has the default handlers of SIGINT and SIGHUP.

    A job in the background of a shell has SIGINT ignored, one of nohup SIGHUP, and so have its children.
    """
    _start_server()
    process = CONTEXT.Process(target=_run, args=(function, arguments, log))
    process.start()
    return process


@cache
def _start_server() -> None:
    """Start the process that the others are forked from. Python 3.11 does not tell it ``sys.path``."""
    given = {name: value for name, value in os.environ.items() if name == "PYTHONPATH"}
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *given.values()])
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        os.environ.update(given)


def run_function(function: Callable[..., Any], *arguments: Any, log: Path) -> str:
    """Run a function in a process, and return its output."""
    process = start_function(function, *arguments, log=log)
    process.join(120)
    assert process.exitcode == 0, log.read_text()
    return log.read_text()


def start(*arguments: str | Path, log: Path) -> BaseProcess:
    """Start ``splitnest`` in a process that writes to the file ``log``."""
    return start_function(_command_line, [str(argument) for argument in arguments], log=log)


def wait_for(condition: Callable[[], bool], process: BaseProcess, seconds: float = 60) -> None:
    """Wait until a condition is true while a process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.is_alive(), f"the process ended with {process.exitcode}"
        assert time.monotonic() < end, f"the condition is not true after {seconds} s"
        time.sleep(0.01)


def children(process: BaseProcess) -> list[int]:
    """Return the ids of the child processes of a process (Linux)."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in text.split()]


def _run(function: Callable[..., Any], arguments: tuple[Any, ...], log: Path) -> None:
    multiprocessing.set_start_method("fork", force=True)  # the default of a program, unlike that of this process
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    function(*arguments)


def _command_line(arguments: list[str]) -> None:
    sys.argv = ["splitnest", *arguments]
    from splitnest.cli.app import main

    main()


def can_mount() -> bool:
    """Return whether this process may have mounts of its own."""
    if shutil.which("unshare") is None:
        return False
    test = ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /dev/shm"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0
