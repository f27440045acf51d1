"""A SHA-256 inside of a torch file, by which damage is found before anything of the file is unpickled.

A torch file is a zip archive. The digest of all that torch wrote stands in the archive's comment, at the end of the
file, so file and digest appear together, and torch and zip tools read the file as before.
"""

import hashlib
from typing import BinaryIO

MARK = b"splitnest sha256 "
LENGTH_BYTES = 2
"""Of the number that ends an archive without a comment: how long the comment is (PKWARE APPNOTE, section 4.3.16)."""

ENDING_BYTES = LENGTH_BYTES + len(MARK) + 2 * hashlib.sha256().digest_size
BLOCK_BYTES = 2**20


def seal(file: BinaryIO) -> None:
    """Add its digest to a torch file that is open for reading and writing.

    Raises:
        OSError: It cannot be read or written.
    """
    end = file.seek(0, 2) - LENGTH_BYTES
    ending = _ending(file, end)
    file.seek(end)
    file.write(ending)


def is_sealed(file: BinaryIO) -> bool:
    """Whether an open file has a digest, and it is that of its content. The file is left at its beginning.

    Raises:
        OSError: It cannot be read.
    """
    end = file.seek(0, 2) - ENDING_BYTES
    if end < 0:
        return False
    expected = _ending(file, end)
    found = file.read(ENDING_BYTES)
    file.seek(0)
    return found == expected


def _ending(file: BinaryIO, end: int) -> bytes:
    """Return length and text of the comment that belongs to the first ``end`` bytes; the file is left behind them."""
    file.seek(0)
    digest = hashlib.sha256()
    while end and (block := file.read(min(end, BLOCK_BYTES))):
        digest.update(block)
        end -= len(block)
    comment = MARK + digest.hexdigest().encode()
    return len(comment).to_bytes(LENGTH_BYTES, "little") + comment
