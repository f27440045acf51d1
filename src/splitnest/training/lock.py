"""Lock of a run folder, so that two trainings never write into the same one."""

import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splitnest.distributed import is_main_process
from splitnest.errors import UsageError
from splitnest.files import output_errors

LOCK_FILE = ".splitnest.lock"
"""File of a run folder that is locked while a training runs. It stays, and tells that the folder is that of a run."""

_held: set[tuple[int, int]] = set()
"""Device and inode of the lock files of this process: the system's locks are those of a process, not of a thread."""

_guard = threading.Lock()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run folder inside the context, in the main process. The system unlocks it when the process ends.

    On file systems without locks there is none.

    Raises:
        UsageError: Another training has locked it.
        OutputError: The folder cannot be written.
    """
    if not is_main_process():
        yield
        return
    path = folder / LOCK_FILE
    with output_errors(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    status = os.fstat(file)
    key = status.st_dev, status.st_ino
    with _guard:
        if key in _held:  # closing the file would release the lock of the other thread, so it stays open
            raise UsageError(_explain(folder, "this process"))
        owner = None if _lock(file) else os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
        if owner is None:
            _held.add(key)
    if owner is not None:
        os.close(file)
        raise UsageError(_explain(folder, owner))
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        yield
    finally:
        with _guard:
            _held.discard(key)
            os.close(file)


def _lock(file: int) -> bool:
    """Lock a file if no other process has; return whether it is free. Workers do not inherit the lock."""
    if sys.platform == "win32":
        import msvcrt

        try:
            os.lseek(file, 2**30, os.SEEK_SET)  # behind the text, which others may read
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _explain(folder: Path, owner: str) -> str:
    return f"{folder} is in use: {owner} trains in it. Wait for its end, stop it, or give another folder (--out)."
