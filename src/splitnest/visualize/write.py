"""Writing of image files."""

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from splitnest.files import write_bytes

JPEG_QUALITY = 92
"""JPEG quality of drawings and pages."""


WRITTEN_BY = "Written by splitnest"
"""Comment in the head of image files and HTML pages, by which they are told from files of others."""


def write_image(path: str | Path, pixels: NDArray[np.integer]) -> None:
    """Write an image, uint8 ``[H, W, 3]`` or an integer label map ``[H, W]``; its suffix selects the format.

    Raises:
        OutputError: The file cannot be written.
    """
    write_bytes(path, encoded_image(pixels, Path(path).suffix))


def encoded_image(pixels: NDArray[np.integer], suffix: str = ".png") -> bytes:
    """Return an image file with this suffix as bytes."""
    file, comment = io.BytesIO(), PngInfo()
    comment.add_text("Software", WRITTEN_BY)
    Image.fromarray(pixels).save(
        file,
        Image.registered_extensions()[suffix.lower()],
        quality=JPEG_QUALITY,
        comment=WRITTEN_BY.encode(),
        pnginfo=comment,
    )
    return file.getvalue()


def is_free(path: str | Path) -> bool:
    """Return whether nothing has a path, or a file with the comment, which may be replaced."""
    return not os.path.lexists(path) or is_written_here(path)


def is_written_here(path: str | Path) -> bool:
    """Return whether a path is a file with the comment in its head, and not a link to one."""
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return WRITTEN_BY.encode() in file.read(256)
    except OSError:
        return False
