"""SHA-256 checksum inside a torch file, which reveals damage before anything of the file is unpickled.

A torch file is a zip archive. The checksum of its content is in the archive comment at the end of the file, so content
and checksum appear together, and torch and zip tools read the file as before.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from splitnest.errors import DamagedError

PREFIX = b"splitnest sha256 "
LENGTH_BYTES = 2
"""Size of the comment length at the end of an archive without a comment (PKWARE APPNOTE, section 4.3.16)."""

ENDING_BYTES = LENGTH_BYTES + len(PREFIX) + 2 * hashlib.sha256().digest_size
BLOCK_BYTES = 2**20

_END_OF_ARCHIVE = b"PK\x05\x06"
_END_BYTES = 20
"""Signature and size of the fields before the comment length (PKWARE APPNOTE, section 4.3.16)."""


def add_checksum(file: BinaryIO) -> None:
    """Add the checksum to a torch file that is open for reading and writing.

    Raises:
        OSError: The file cannot be read or written.
    """
    end = file.seek(0, 2) - LENGTH_BYTES
    ending = _ending(file, end)
    file.seek(end)
    file.write(ending)


def has_valid_checksum(file: BinaryIO) -> bool:
    """Return whether an open file has a checksum that matches its content, and rewind the file.

    Raises:
        OSError: The file cannot be read.
    """
    end = file.seek(0, 2) - ENDING_BYTES
    if end < 0:
        return False
    expected = _ending(file, end)
    stored = file.read(ENDING_BYTES)
    file.seek(0)
    return stored == expected


def verify(path: Path) -> None:
    """Check a torch file against its checksum, if it has one; a file is read once for that in a process.

    Raises:
        DamagedError: The checksum does not match.
        OSError: The file cannot be read.
    """
    status = path.stat()
    if not _is_intact(os.path.abspath(path), status.st_ino, status.st_size, status.st_mtime_ns):
        raise DamagedError(
            f"{path} is damaged: its SHA-256 checksum does not match. Copy it again, or give another version, such as "
            f"last-1.pt of the run."
        )


@lru_cache(maxsize=64)
def _is_intact(path: str, *version: int) -> bool:
    with open(path, "rb") as file:
        if not _has_comment(file):
            return True
        return has_valid_checksum(file)


def _has_comment(file: BinaryIO) -> bool:
    """Return whether a file ends as an archive with a comment that has the length of a checksum, or begins as one."""
    size = file.seek(0, 2)
    file.seek(max(0, size - ENDING_BYTES - _END_BYTES))
    ending = file.read()
    length = len(PREFIX) + 2 * hashlib.sha256().digest_size
    has_length = ending[_END_BYTES:].startswith(length.to_bytes(LENGTH_BYTES, "little"))
    return PREFIX in ending or (ending.startswith(_END_OF_ARCHIVE) and has_length)


def _ending(file: BinaryIO, end: int) -> bytes:
    """Return length and text of the comment for the first ``end`` bytes, after which the file is left."""
    file.seek(0)
    digest = hashlib.sha256()
    while end and (block := file.read(min(end, BLOCK_BYTES))):
        digest.update(block)
        end -= len(block)
    comment = PREFIX + digest.hexdigest().encode()
    return len(comment).to_bytes(LENGTH_BYTES, "little") + comment
