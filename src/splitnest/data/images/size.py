"""Image size from the header of a file."""

from pathlib import Path

from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from splitnest.data.images.read import open_header, orientation, refuse_streams
from splitnest.errors import DataError

TRANSPOSED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width (Exif 2.32, tag 0x0112)."""


def image_size(path: str | Path) -> tuple[int, int]:
    """Return the height and width in pixels of the image that ``read_image`` returns, with EXIF orientation applied.

    Args:
        path: Path of the file.

    Raises:
        DataError: The file cannot be opened, is not an image, or has more than ``MAX_PIXELS`` pixels.
    """
    refuse_streams(path)
    try:
        with open(path, "rb") as file, open_header(file, str(path)) as image:
            width, height = image.size
            if isinstance(image, TiffImageFile):  # some versions of Pillow apply the orientation to its size
                width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
            is_transposed = orientation(image) in TRANSPOSED
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror or error}). Check the path.") from error
    return (width, height) if is_transposed else (height, width)
