"""SHA-256 checksum inside a torch file, which reveals damage before anything of the file is unpickled.

A torch file is a zip archive. The checksum of its content is in the archive comment at the end of the file, so content
and checksum appear together, and torch and zip tools read the file as before.
"""

import hashlib
from typing import BinaryIO

PREFIX = b"splitnest sha256 "
LENGTH_BYTES = 2
"""Size of the comment length at the end of an archive without a comment (PKWARE APPNOTE, section 4.3.16)."""

ENDING_BYTES = LENGTH_BYTES + len(PREFIX) + 2 * hashlib.sha256().digest_size
BLOCK_BYTES = 2**20


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


def _ending(file: BinaryIO, end: int) -> bytes:
    """Return length and text of the comment for the first ``end`` bytes, after which the file is left."""
    file.seek(0)
    digest = hashlib.sha256()
    while end and (block := file.read(min(end, BLOCK_BYTES))):
        digest.update(block)
        end -= len(block)
    comment = PREFIX + digest.hexdigest().encode()
    return len(comment).to_bytes(LENGTH_BYTES, "little") + comment
