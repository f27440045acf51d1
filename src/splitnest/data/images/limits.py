"""Limits of the work that an image file can cause: pixels, pixels for each byte, and scans."""

import io
import os
from typing import BinaryIO

from PIL import Image

from splitnest.errors import DataError

MAX_PIXELS = 500_000_000
"""Maximum number of pixels; two copies of a larger image, at 3 bytes per pixel, take over 3 GB."""

SPARSE_PIXELS = 50_000_000
"""Number of pixels from which the size of the file is considered."""

MAX_PIXELS_PER_BYTE = 10_000
"""Maximum number of pixels for each byte of a file; a drawing of mostly white paper has about 2,000 (TIFF, group 4)."""

MAX_SCANS = 100
"""Maximum number of scans of a progressive JPEG, each of which costs as much as decoding; encoders write about 10."""

_WEBP_CANVAS = slice(24, 30)
"""Width and height minus 1 in the header of an extended WebP file, 3 bytes each (RFC 9649, section 2.7)."""


def check_pixels(width: int, height: int, num_bytes: int, name: str, max_pixels: int | None = None) -> None:
    """Check the number of pixels of an image against the limits.

    Args:
        width, height: Size in pixels.
        num_bytes: Size of the file.
        name: Name of the image in messages.
        max_pixels: Maximum number of pixels; None for ``MAX_PIXELS``.

    Raises:
        DataError: The image has too many pixels, absolutely or for the size of the file.
    """
    pixels = width * height
    most = MAX_PIXELS if max_pixels is None else max_pixels
    if pixels > most:
        raise DataError(f"{name} has {width} x {height} pixels, more than {most / 10**6:g} million. Resize or crop it.")
    if pixels > max(SPARSE_PIXELS, MAX_PIXELS_PER_BYTE * num_bytes):
        raise DataError(
            f"{name} has {width} x {height} pixels in only {num_bytes} bytes, so it has no content, or would exhaust "
            f"memory on purpose. Resize or crop it."
        )


def check_header(file: BinaryIO, name: str, max_pixels: int | None = None) -> None:
    """Check the canvas of an animated WebP, which its decoder allocates when the file is opened.

    Args:
        file: Image file.
        name: Name of the image in messages.
        max_pixels: Maximum number of pixels; None for ``MAX_PIXELS``.

    Raises:
        DataError: Same conditions as ``check_pixels``.
    """
    head = file.read(_WEBP_CANVAS.stop)
    file.seek(0)
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == _WEBP_CANVAS.stop:
        canvas = head[_WEBP_CANVAS]
        width, height = (int.from_bytes(side, "little") + 1 for side in (canvas[:3], canvas[3:]))
        check_pixels(width, height, num_bytes(file), name, max_pixels)


def check_scans(image: Image.Image, file: BinaryIO, name: str) -> None:
    """Check the number of scans of a progressive JPEG.

    Raises:
        DataError: The image has more than ``MAX_SCANS`` scans.
    """
    if image.format not in ("JPEG", "MPO") or not image.info.get("progressive"):
        return
    position = file.tell()
    file.seek(0)
    # Entropy-coded data has no FF DA (ITU-T T.81, B.1.1.5); an embedded thumbnail may have a few.
    scans = file.read().count(b"\xff\xda")
    file.seek(position)
    if scans > MAX_SCANS:
        raise DataError(
            f"{name} is a progressive JPEG of {scans} scans, more than {MAX_SCANS}; decoding would take too long. Save "
            f"it again."
        )


def num_bytes(file: BinaryIO) -> int:
    """Return the size of an open file; its position stays."""
    position = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(position, io.SEEK_SET)
    return end
