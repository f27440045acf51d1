"""Atomic writing of files: an output is complete, or the previous file is unchanged. Reading of regular files."""

import errno
import glob
import io
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from splitnest.errors import OutputError, UsageError, cannot_write, printable
from splitnest.streams import copy_to_stream, follow, is_replaced

MAX_NAME_BYTES = 200
"""Maximum size of a file name from elsewhere; file systems allow 255 bytes, with endings such as ``.part``."""

_FILE_SYSTEM_NAME_BYTES = 255


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside the context into an OutputError that names a path.

    On a full disk torch's file writer raises a RuntimeError of its own while it handles the OSError.

    Raises:
        OutputError: The path cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError, UnicodeEncodeError) as error:
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        if isinstance(cause, UnicodeEncodeError):
            reason = "its name cannot be encoded in this locale. Write to another path"
            raise OutputError(f"{printable(path)} cannot be written: {reason}.") from error
        if not isinstance(cause, OSError):
            raise
        raise OutputError(cannot_write(path, cause, os.path.isfile(path))) from error


@contextmanager
def replacing(path: Path, keep: int | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` once it is complete and on the disk; after an error it never does.

    The folder is created if it does not exist. The file that a link leads to is replaced, not the link. A named pipe, a
    character device such as ``/dev/null``, and an open file such as ``/dev/stdout`` get the complete content.

    Args:
        path: Path of the file.
        keep: Number of versions to keep, with the new one; earlier versions are renamed as ``numbered`` says, and the
            oldest removed, once the new one is on the disk. None keeps the new one and ignores others.

    Raises:
        OutputError: The file cannot be written, or is a folder, a block device or a socket.
    """
    with output_errors(path):
        target = path if keep is not None and is_replaced(path) else follow(path)
        if not is_replaced(target):
            with tempfile.TemporaryFile() as file:
                yield file
                copy_to_stream(file, target)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _part(target)
        try:
            with _open_part(part) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                _give_name(file, part)
            for number in range((keep or 1) - 1, 0, -1):
                if numbered(target, number - 1).exists():
                    os.replace(numbered(target, number - 1), numbered(target, number))
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
        for old in [] if keep is None else versions(target)[keep:]:
            old.unlink()


def plain_name(name: str) -> str:
    """Return a name that is one plain part of a path; every file name from a recipe, checkpoint or URL is checked here.

    Raises:
        ValueError: The name is empty, hidden or too long, or has separators or control characters. The message follows
            the name.
    """
    if not name.strip() or name.startswith("."):
        raise ValueError("is empty or starts with a dot")
    if "/" in name or "\\" in name or printable(name) != name:
        raise ValueError("has slashes or control characters")
    if len(name.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
        raise ValueError(f"has more than {MAX_NAME_BYTES} bytes")
    return name


@contextmanager
def replacing_path(path: Path, suffix: str | None = None) -> Iterator[Path]:
    """Yield the path of a temporary file, for a writer that opens its file itself; see ``replacing``.

    Temporary files that killed processes of this machine left for the same path are removed.

    Args:
        path: Path of the file.
        suffix: File name suffix of the temporary file; None is that of ``path``.

    Raises:
        OutputError: The file cannot be written, or is a folder, a block device or a socket.
    """
    suffix = path.suffix if suffix is None else suffix
    with output_errors(path):
        target = follow(path)
        if not is_replaced(target):
            with tempfile.TemporaryDirectory() as folder:
                part = Path(folder, f"part{suffix}")
                yield part
                with part.open("rb") as file:
                    copy_to_stream(file, target)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _part(target, suffix)
        left = re.compile(rf"\.{re.escape(target.name)}\.(\d+)\.part{re.escape(suffix)}")
        for other in target.parent.iterdir():
            if (match := left.fullmatch(other.name)) and not _is_running(int(match[1])):
                other.unlink(missing_ok=True)
        try:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def check_output(path: Path, inputs: Iterable[str | Path] = ()) -> None:
    """Check that a file can be written, before the work whose result it gets. Its folder is created.

    Args:
        path: Path of the file.
        inputs: Files that the work reads; names that are no files are passed over.

    Raises:
        UsageError: The file is one of the inputs.
        OutputError: The file cannot be written.
    """
    for name in inputs:
        with suppress(OSError, ValueError):
            if os.path.samefile(path, name) and is_replaced(follow(path)):
                raise UsageError(f"{printable(path)} is read, so it is not written. Give another path for the output.")
    with output_errors(path):
        target = follow(path)
        if is_replaced(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            part = _part(target)
            _open_part(part).close()
            part.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Return whether a path is a named pipe, a character device or an open file, also through links.

    Raises:
        OutputError: The path is a folder, a block device or a socket, or cannot be read.
    """
    with output_errors(path):
        return not is_replaced(follow(path))


def numbered(path: Path, number: int) -> Path:
    """Return the path of an earlier version: ``last.pt`` for 0, then ``last-1.pt``, ``last-2.pt``."""
    return path.with_name(f"{path.stem}-{number}{path.suffix}") if number else path


def versions(path: Path) -> list[Path]:
    """Return the existing versions of a file, newest first: ``path`` itself and ``numbered`` ones."""
    name = re.compile(rf"{re.escape(path.stem)}-([1-9]\d*){re.escape(path.suffix)}")
    matches = [
        match for other in path.parent.glob(f"*{glob.escape(path.suffix)}") if (match := name.fullmatch(other.name))
    ]
    numbers = sorted(int(match[1]) for match in matches)
    return [file for number in (0, *numbers) if (file := numbered(path, number)).is_file()]


def remove_parts(path: Path) -> None:
    """Remove the temporary files that killed processes left while they wrote ``path``.

    Raises:
        OutputError: A file cannot be removed.
    """
    with output_errors(path):
        for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            part.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(Path(path)) as file:
        file.write(content)


def create_bytes(path: Path, content: bytes) -> bool:
    """Write a file unless there is one, and return whether it was written; of several processes one succeeds.

    Raises:
        OutputError: The file cannot be written.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part(path)
        try:
            with _open_part(part) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                try:
                    _link(file, part, path)
                except FileExistsError:
                    return False
        finally:
            part.unlink(missing_ok=True)
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file.

    Raises:
        OutputError: The file cannot be written.
    """
    write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file.

    Raises:
        OutputError: The file cannot be written.
    """
    write_text(path, json.dumps(content))


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading. A named pipe would block, and a device may never end.

    Raises:
        OSError: The file cannot be opened, or is a folder, a named pipe or a device; or no file can have the path.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a null byte, or a character that the file system cannot encode
        raise OSError(errno.EINVAL, f"no file can have this name ({error})", str(path)) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = "named pipe" if stat.S_ISFIFO(mode) else "device"
    raise OSError(errno.EINVAL, f"it is a {kind}, not a regular file", str(path))


def open_text(path: str | Path) -> TextIO:
    """Open a regular UTF-8 text file for reading, without the byte order mark that some editors write.

    Raises:
        OSError: Same conditions as ``open_regular``.
    """
    return io.TextIOWrapper(open_regular(path), encoding="utf-8-sig")


def _part(path: Path, suffix: str = "") -> Path:
    """Return the path of the temporary file for a path; a long name is cut."""
    ending = f".{os.getpid()}.part{suffix}"
    room = _FILE_SYSTEM_NAME_BYTES - len(os.fsencode(ending)) - 1
    return path.with_name(f".{shortened(path.name, room)}{ending}")


def shortened(name: str, num_bytes: int) -> str:
    """Return the beginning of a file name that takes at most a number of bytes."""
    raw = os.fsencode(name)
    return name if len(raw) <= num_bytes else os.fsdecode(raw[:num_bytes].decode("utf-8", "ignore").encode())


def _open_part(part: Path) -> BinaryIO:
    """Open a temporary file. On Linux it has no name before it is complete, so that a killed process leaves none."""
    if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
        with suppress(OSError):  # a file system without such files
            return os.fdopen(os.open(part.parent, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
    return part.open("w+b")


def _give_name(file: BinaryIO, part: Path) -> None:
    """Give a temporary file without a name its name."""
    if isinstance(file.name, int):
        part.unlink(missing_ok=True)
        _link(file, part, part)


def _link(file: BinaryIO, part: Path, path: Path) -> None:
    """Give a temporary file, whose name is ``part`` if it has one, another name."""
    if isinstance(file.name, int):
        descriptor = file.fileno()  # with src_dir_fd, os.link follows the link in /proc
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
    else:
        os.link(part, path)


def _is_running(process: int) -> bool:
    if sys.platform == "win32":  # os.kill would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
