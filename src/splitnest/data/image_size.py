"""The size of an image file, from its header alone."""

from pathlib import Path

from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from splitnest.data.images import open_header, orientation
from splitnest.errors import DataError

SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations of a camera on its side (Exif 2.32, tag 0x0112)."""


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of an image in pixels as ``read_image`` gives it: upright.

    Raises:
        DataError: There is no such file, or ``read_image`` would refuse it by its header.
    """
    try:
        with open(path, "rb") as file, open_header(file, str(path)) as image:
            width, height = image.size
            if isinstance(image, TiffImageFile):  # whose size some versions of Pillow give upright already
                width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
            sideways = orientation(image) in SIDEWAYS
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror or error}). Check the path.") from error
    return (width, height) if sideways else (height, width)
