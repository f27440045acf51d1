"""Paths that are streams: named pipes, character devices, and open files such as ``/dev/stdout``."""

import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import BinaryIO

_MAX_LINKS = 40


def is_standard_output(path: Path) -> bool:
    """Return whether a path is what standard output is written to."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except (OSError, ValueError):
        return False


def follow(path: Path) -> Path:
    """Return the path that links lead to, up to an open file of this process such as ``/dev/stdout``."""
    for _ in range(_MAX_LINKS):
        if _descriptor(path) is not None or not path.is_symlink():
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def is_replaced(path: Path) -> bool:
    """Return whether a path is a regular file or nothing, rather than a stream; raise an OSError for other kinds."""
    if _descriptor(path) is not None:
        return False
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OSError(errno.EINVAL, f"it is a {'block device' if stat.S_ISBLK(mode) else 'socket'}")
    return stat.S_ISREG(mode)


def copy_to_stream(file: BinaryIO, path: Path) -> None:
    """Write the whole content of a file to a pipe, a device or an open file."""
    if (descriptor := _descriptor(path)) is not None:
        sys.stdout.flush()
        opened = os.dup(descriptor)
    else:
        try:
            opened = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            raise OSError(errno.ENXIO, "no process reads this named pipe") from error
        os.set_blocking(opened, True)
    file.seek(0)
    with os.fdopen(opened, "wb") as stream:
        shutil.copyfileobj(file, stream)


def _descriptor(path: Path) -> int | None:
    """Return the number of an open file of this process, as in ``/dev/fd/1`` and ``/proc/self/fd/1``."""
    folder = os.path.realpath(path.parent)
    is_descriptor = path.name.isdigit() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd")
    return int(path.name) if is_descriptor else None
