"""Image size from the header of a file."""

from pathlib import Path

from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from splitnest.data.images.read import open_header, orientation
from splitnest.errors import DataError, cannot_read
from splitnest.files import open_regular

TRANSPOSED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width (Exif 2.32, tag 0x0112)."""


SIZE_OF_UNREADABLE = (1000, 1000)
"""Height and width that stand for those of an unreadable image. They are never used, since reading it fails too."""


def size_or_default(path: str | Path) -> tuple[int, int]:
    """Return the size of an image; that of an unreadable one is ``SIZE_OF_UNREADABLE``.

    Readers of annotations need a size, but training replaces unreadable images, and ``splitnest data check`` names all.
    """
    try:
        return image_size(path)
    except DataError:
        return SIZE_OF_UNREADABLE


def image_size(path: str | Path) -> tuple[int, int]:
    """Return the height and width in pixels of the image that ``read_image`` returns, with EXIF orientation applied.

    Args:
        path: Path of the file.

    Raises:
        DataError: Same conditions as ``open_header``; or the file cannot be opened.
    """
    try:
        with open_regular(path) as file, open_header(file, str(path)) as image:
            width, height = image.size
            if isinstance(image, TiffImageFile):  # some versions of Pillow apply the orientation to its size
                width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
            is_transposed = orientation(image) in TRANSPOSED
    except OSError as error:
        raise DataError(cannot_read(path, error, "an image")) from error
    return (width, height) if is_transposed else (height, width)
