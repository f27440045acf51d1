"""Fuzzing of readers in a watched child process.

A target returns, for a folder of its own, a function that writes one mutated input and reads it. Each case has random
numbers of its own, so that it can be repeated alone. A case passes if it ends, with or without an error of splitnest,
within the limits of time and memory, executes nothing, and writes nothing outside its folder.
"""

import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.processes import CONTEXT, start_function
from splitnest.errors import SplitnestError

Case = Callable[[random.Random], None]
Target = Callable[[Path], Case]

SECONDS, WAITING_SECONDS = 10.0, 60.0
"""Limits of a case: seconds of processor time, and seconds of wall time, as other tests run beside it."""

MEMORY = 4 * 2**30
"""Limit of the resident memory of the process in bytes."""

EXECUTION = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile"),
    *("subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind", "ftplib.connect", "smtplib.connect"),
)
"""Audit events of running a program or connecting to another machine (PEP 578)."""

CHANGES = (
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile"),
)
"""Audit events of a change in the file system, whose arguments are paths."""


def fuzz(target: Target, kind: str, count: int, folder: Path, first: int = 0) -> list[str]:
    """Run cases ``first`` to ``first + count - 1`` of a target, and return the faults, each with its case.

    Args:
        target: Function of a module that the child process can import.
        kind: Name of the target; with the number of a case it is the seed.
        count: Number of cases.
        folder: Empty folder.
        first: Number of the first case.
    """
    faults: list[str] = []
    end, current = first + count, CONTEXT.Value("q", -1, lock=False)
    while first < end:
        current.value = -1
        log = folder / f"log-{first}.txt"
        process = start_function(_work, target, kind, (first, end), folder / "work", current, log=log)
        problem = _watch(process, current)
        process.join()
        reported = folder / "work" / "faults.jsonl"
        if reported.exists():
            faults += [json.loads(line) for line in reported.read_text().splitlines()]
            reported.unlink()
        if problem is None and process.exitcode == 0:
            break
        if current.value < 0:
            raise AssertionError(f"the fuzzing process ended before its first case: {log.read_text()}")
        problem = problem or f"the process ended with {process.exitcode}: {log.read_text()[-2000:]}"
        faults.append(f"{kind} {current.value}: {problem}")
        first = current.value + 1
    return faults


def _watch(process: Any, current: Any) -> str | None:
    """Wait for the end of a process; kill it, and return why, if a case exceeds a limit."""
    case, start, cpu = -1, 0.0, 0.0
    while process.exitcode is None:
        process.join(0.05)
        seconds, resident = _usage(process.pid)
        if current.value != case:
            case, start, cpu = current.value, time.monotonic(), seconds
        problem = None
        if resident > MEMORY:
            problem = f"takes {resident >> 20} MB"
        elif case >= 0 and (seconds - cpu > SECONDS or time.monotonic() - start > WAITING_SECONDS):
            problem = f"has not ended after {time.monotonic() - start:.0f} s, {seconds - cpu:.0f} s of processor time"
        if problem:
            process.kill()
            return problem
    return None


def _usage(pid: int) -> tuple[float, int]:
    """Return processor time in seconds and resident memory in bytes of a process; zeros after its end (Linux only)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def _work(target: Target, kind: str, cases: tuple[int, int], folder: Path, current: Any) -> None:
    sys.dont_write_bytecode = True
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["SPLITNEST_HOME"] = str(folder / "home")
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.chdir(folder)
    run = target(folder)
    audit = _Audit(folder)
    sys.addaudithook(audit)
    with (folder / "faults.jsonl").open("a") as faults:
        for number in range(*cases):
            current.value = number
            audit.events.clear()
            problems = _problems(run, random.Random(f"{kind} {number}"))
            for problem in problems + audit.events:
                faults.write(json.dumps(f"{kind} {number}: {problem}") + "\n")
                faults.flush()
        audit.is_active = False


def _problems(run: Case, rng: random.Random) -> list[str]:
    try:
        run(rng)
    except SplitnestError:
        pass
    except BaseException:
        return [traceback.format_exc(limit=-8)]
    return []


class _Audit:
    """Audit hook that collects executions, and changes outside a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.events: list[str] = []
        self.is_active = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_active:
            return
        if event in EXECUTION:
            self.events.append(f"executed {event} {arguments!r}"[:300])
        elif event == "open":
            path, _, flags = arguments
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                self._check(event, path)
        elif event in CHANGES:
            for path in arguments[: 2 if event in ("os.rename", "os.link", "shutil.move") else 1]:
                self._check(event, path)

    def _check(self, event: str, path: Any) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            real = os.path.realpath(os.fsdecode(path))
            if real != os.devnull and not real.startswith((self.folder + os.sep, "/dev/shm/")):
                self.events.append(f"{event} outside the folder: {real}"[:300])
