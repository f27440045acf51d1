"""Files that are whole, or as they were before."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from splitnest.errors import DataError


@contextmanager
def replacing(path: Path, keep: int | None = None) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of ``path`` once it is whole and on the disk; after an error it never does.

    Args:
        path: The file.
        keep: How many files to keep: the new one, and under ``numbered`` names those that it and the ones before it
            took the place of. They are renamed, and the oldest removed, once the new one is on the disk. None keeps
            the new one and looks at no others.

    Raises:
        OSError: It cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
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
    for old in [] if keep is None else kept(path)[keep:]:
        old.unlink()


def numbered(path: Path, number: int) -> Path:
    """Return what ``path`` is called ``number`` replacements later: ``last.pt``, ``last-1.pt``, ``last-2.pt``."""
    return path.with_name(f"{path.stem}-{number}{path.suffix}") if number else path


def kept(path: Path) -> list[Path]:
    """Return the files that were written as ``path``, the newest first: it, if it is there, and ``numbered`` ones."""
    name = re.compile(rf"{re.escape(path.stem)}-([1-9]\d*){re.escape(path.suffix)}")
    matches = [match for other in path.parent.glob(f"*{path.suffix}") if (match := name.fullmatch(other.name))]
    numbers = sorted(int(match[1]) for match in matches)
    return [file for number in (0, *numbers) if (file := numbered(path, number)).is_file()]


def remove_parts(path: Path) -> None:
    """Remove what processes that were killed while they wrote ``path`` have left.

    Raises:
        OSError: It cannot be removed.
    """
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as JSON, in a folder made where it is missing.

    Raises:
        DataError: It cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(json.dumps(content).encode())
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror or error}). Check the folder.") from error
