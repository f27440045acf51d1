"""Atomic writing of files: an output is complete, or the previous file is unchanged. Reading of regular files."""

import errno
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from splitnest.errors import OutputError, cannot_write, printable

MAX_NAME_BYTES = 200
"""Maximum size of a file name from elsewhere; file systems allow 255 bytes, with endings such as ``.part``."""


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside the context into an OutputError that names a path.

    On a full disk torch's file writer raises a RuntimeError of its own while it handles the OSError.

    Raises:
        OutputError: The path cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise OutputError(cannot_write(path, cause, path.is_file())) from error


@contextmanager
def replacing(path: Path, keep: int | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` once it is complete and on the disk; after an error it never does.

    The folder is created if it does not exist.

    Args:
        path: Path of the file.
        keep: Number of versions to keep, with the new one; earlier versions are renamed as ``numbered`` says, and the
            oldest removed, once the new one is on the disk. None keeps the new one and ignores others.

    Raises:
        OutputError: The file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            for number in range((keep or 1) - 1, 0, -1):
                if numbered(path, number - 1).exists():
                    os.replace(numbered(path, number - 1), numbered(path, number))
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        for old in [] if keep is None else versions(path)[keep:]:
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


def numbered(path: Path, number: int) -> Path:
    """Return the path of an earlier version: ``last.pt`` for 0, then ``last-1.pt``, ``last-2.pt``."""
    return path.with_name(f"{path.stem}-{number}{path.suffix}") if number else path


def versions(path: Path) -> list[Path]:
    """Return the existing versions of a file, newest first: ``path`` itself and ``numbered`` ones."""
    name = re.compile(rf"{re.escape(path.stem)}-([1-9]\d*){re.escape(path.suffix)}")
    matches = [match for other in path.parent.glob(f"*{path.suffix}") if (match := name.fullmatch(other.name))]
    numbers = sorted(int(match[1]) for match in matches)
    return [file for number in (0, *numbers) if (file := numbered(path, number)).is_file()]


def remove_parts(path: Path) -> None:
    """Remove the temporary files that killed processes left while they wrote ``path``.

    Raises:
        OutputError: A file cannot be removed.
    """
    with output_errors(path):
        for part in path.parent.glob(f".{path.name}.*.part"):
            part.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(Path(path)) as file:
        file.write(content)


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
        OSError: The file cannot be opened, or is a folder, a named pipe or a device.
        ValueError: The path has a null byte.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
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
        OSError, ValueError: Same conditions as ``open_regular``.
    """
    return io.TextIOWrapper(open_regular(path), encoding="utf-8-sig")
