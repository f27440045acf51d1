"""Writing of image files."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.files import write_bytes

JPEG_QUALITY = 92
"""JPEG quality of drawings and pages."""


def write_image(path: str | Path, pixels: NDArray[np.integer]) -> None:
    """Write an image, uint8 ``[H, W, 3]`` or an integer label map ``[H, W]``; its suffix selects the format.

    Raises:
        OutputError: The file cannot be written.
    """
    write_bytes(path, encoded_image(pixels, Path(path).suffix))


def encoded_image(pixels: NDArray[np.integer], suffix: str = ".png") -> bytes:
    """Return an image file with this suffix as bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, Image.registered_extensions()[suffix.lower()], quality=JPEG_QUALITY)
    return file.getvalue()
