"""Reading of images from files, URLs, Pillow images and arrays as uint8 RGB."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.error import HTTPError

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from splitnest import urls
from splitnest.data.images.foreign import HEAD_LENGTH, describe_foreign
from splitnest.data.images.limits import MAX_PIXELS, check_header, check_pixels, check_scans, num_bytes
from splitnest.errors import DataError, cannot_read
from splitnest.files import open_regular

Source = str | Path | Image.Image | NDArray[np.uint8]
"""Path, http or https URL, Pillow image, or uint8 RGB array ``[H, W, 3]``."""

_Array = TypeVar("_Array", NDArray[np.uint8], NDArray[np.integer])

MAX_DOWNLOAD_BYTES = 100_000_000
"""Maximum size of an image that is downloaded."""

MAX_DOWNLOAD_S = 120.0
"""Maximum time of its download in seconds."""

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")
"""Raster formats only: Pillow's EPS reader runs Ghostscript on the program in the file."""

_TRANSPOSES: dict[int | None, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (Exif 2.32, tag 0x0112) -> operation that makes an image upright; rotations are counterclockwise."""


def to_array(source: Source) -> tuple[NDArray[np.uint8], str]:
    """Read an image.

    Args:
        source: Image.

    Returns:
        Pixels, uint8 RGB ``[H, W, 3]``, and the name of the image (see ``source_name``).

    Raises:
        DataError: The image cannot be read, or the array has another dtype or shape.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or source.size == 0:
            raise DataError(
                f"An image array must be uint8 RGB of shape (height, width, 3), but has dtype {source.dtype} and shape "
                f"{source.shape}. Convert it, or pass several images as a list."
            )
        return source, source_name(source)
    if isinstance(source, Image.Image):
        return _pixels(source, source_name(source)), source_name(source)
    if not isinstance(source, str | Path):
        raise not_an_image(source)
    if is_url(source):
        return decode_image(_download(str(source)), str(source)), source_name(source)
    return read_image(source), source_name(source)


def source_name(source: Source) -> str:
    """Return the name of an image in messages and results: its path or URL, otherwise ``image`` or ``array``."""
    if isinstance(source, np.ndarray):
        return "array"
    return str(getattr(source, "filename", "") or "image") if isinstance(source, Image.Image) else str(source)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as uint8 RGB ``[H, W, 3]``.

    The EXIF orientation is applied, as in OpenCV and detectron2. Transparency is dropped, 16-bit pixels are reduced to
    their high byte, and CMYK and palettes are converted by Pillow.

    Args:
        path: Path of the file.

    Raises:
        DataError: The file does not exist, is not an image, is damaged, or has more than ``MAX_PIXELS`` pixels.
    """
    return _decode_file(path, _pixels)


def decode_image(
    content: bytes, name: str, formats: tuple[str, ...] = _FORMATS, max_pixels: int | None = None
) -> NDArray[np.uint8]:
    """Decode the content of an image file as ``read_image`` does, uint8 RGB ``[H, W, 3]``.

    Args:
        content: Content of the file.
        name: Name of the image in messages.
        formats: Names of the accepted formats of Pillow, such as ``JPEG``; narrower for content from strangers.
        max_pixels: Maximum number of pixels; None for ``MAX_PIXELS``.

    Raises:
        DataError: The content is not an image of these formats, is damaged, or has too many pixels.
    """
    return _decode(io.BytesIO(content), name, _pixels, formats, max_pixels)


def decode_values(content: bytes, name: str) -> NDArray[np.integer]:
    """Decode the content of an image file as ``read_values`` does, integers ``[H, W]``.

    Raises:
        DataError: Same conditions as ``decode_image``; or there are several channels or floating-point pixels.
    """
    return _decode(io.BytesIO(content), name, _values)


def read_values(path: str | Path) -> NDArray[np.integer]:
    """Read an image file with one channel without conversion, integers ``[H, W]``; palette images give indices.

    Args:
        path: Path of the file.

    Raises:
        DataError: The file cannot be read (see ``read_image``), or has several channels or floating-point pixels.
    """
    return _decode_file(path, _values)


def open_header(
    file: BinaryIO, name: str, formats: tuple[str, ...] = _FORMATS, max_pixels: int | None = None
) -> Image.Image:
    """Open an image without decoding its pixels. The caller closes it.

    Args:
        file: Image file.
        name: Name of the image in messages.
        formats: Names of the formats that are accepted.
        max_pixels: Maximum number of pixels; None for ``MAX_PIXELS``.

    Raises:
        DataError: The file is not an image, is damaged, or exceeds a limit of ``splitnest.data.images.limits``.
    """
    # Pillow warns above its own limit and fails above twice that. MAX_PIXELS is checked before decoding.
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS)
    check_header(file, name, max_pixels)
    try:
        image = Image.open(file, formats=formats)
    except Exception as error:  # Pillow's errors on damaged files have no common base class
        raise _damaged(name, error, file) from error
    try:
        check_pixels(*image.size, num_bytes(file), name, max_pixels)
        check_scans(image, file, name)
    except DataError:
        image.close()
        raise
    return image


def orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation, 1 to 8, or None. Pillow applies and removes the orientation of a TIFF on loading."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged EXIF block has no orientation; the pixels may be intact
        return None


def is_url(source: object) -> bool:
    """Return whether a source is an http or https URL."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def not_an_image(source: object) -> DataError:
    """Return the error for an object that is not an image."""
    return DataError(
        f"{type(source).__name__} is not an image. Give a path, a URL, a folder, a glob pattern, a Pillow image, "
        f"a uint8 RGB array, or a list or a generator of these."
    )


def _download(url: str) -> bytes:
    """Return the content of a URL, at most ``MAX_DOWNLOAD_BYTES`` within ``MAX_DOWNLOAD_S``."""
    content, deadline = bytearray(), urls.Deadline(MAX_DOWNLOAD_S)
    try:
        with urls.opened(url, deadline) as response:
            total = urls.content_length(response)
            for block in urls.read_blocks(response, 1 << 16, deadline):
                content += block
                if max(len(content), total or 0) > MAX_DOWNLOAD_BYTES:
                    break
    except (urls.RequestError, urls.LostError, HTTPError) as error:
        raise DataError(f"{url} cannot be downloaded ({error}). Check the URL and the connection.") from error
    if max(len(content), total or 0) > MAX_DOWNLOAD_BYTES:
        raise DataError(f"{url} is larger than {MAX_DOWNLOAD_BYTES // 10**6} MB. Download it, and give its path.")
    if total is not None and len(content) < total:
        raise DataError(f"{url} ends after {len(content)} of {total} bytes. Download it, and give its path.")
    return bytes(content)


def _decode_file(path: str | Path, decode: Callable[[Image.Image, str], _Array]) -> _Array:
    if os.path.isdir(path):
        if not os.access(path, os.R_OK | os.X_OK):
            raise DataError(f"{path} cannot be listed. Check its permissions.")
        raise DataError(f"{path} is a folder, not an image. Give the path of a file.")
    try:
        with open_regular(path) as file:
            return _decode(file, str(path), decode)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: null byte in the path
        raise DataError(cannot_read(path, error, "an image")) from error


def _decode(
    file: BinaryIO,
    name: str,
    decode: Callable[[Image.Image, str], _Array],
    formats: tuple[str, ...] = _FORMATS,
    max_pixels: int | None = None,
) -> _Array:
    with open_header(file, name, formats, max_pixels) as image:
        try:
            return decode(image, name)
        except DataError:
            raise
        except Exception as error:  # such as a mode that Pillow cannot convert
            raise _damaged(name, error) from error


def _pixels(image: Image.Image, name: str) -> NDArray[np.uint8]:
    image = _upright(image, name)
    if image.mode.startswith("I"):
        return _from_16_bit(np.asarray(image), name)
    if image.mode == "F":
        raise DataError(f"{name} has floating-point pixels of unknown range. Save it with 8 or 16 bits per channel.")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # direct conversion to RGB warns
    return np.array(image.convert("RGB"))


def _values(image: Image.Image, name: str) -> NDArray[np.integer]:
    image = _upright(image, name)
    if image.mode == "F":
        raise DataError(f"{name} has floating-point pixels, not class indices. Save it with 8 or 16 bits per channel.")
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise DataError(
            f"{name} has several channels ({image.mode}), not class indices. Set data.format=folders, "
            f"data.label_maps=colors and data.palette to the class colors, or give label maps of class indices."
        )
    return np.array(image, np.uint8 if image.mode == "1" else None)


def _upright(image: Image.Image, name: str) -> Image.Image:
    """Decode an image, and apply its EXIF orientation."""
    try:
        image.load()
    except Exception as error:
        raise _damaged(name, error) from error
    transpose = _TRANSPOSES.get(orientation(image))
    return image if transpose is None else image.transpose(transpose)


def _from_16_bit(gray: NDArray[np.integer], name: str) -> NDArray[np.uint8]:
    """Return the high byte of 16-bit grayscale pixels ``[H, W]`` as RGB, as OpenCV does; Pillow clips them at 255."""
    if gray.min() < 0 or gray.max() > 0xFFFF:
        raise DataError(f"{name} has 32-bit pixels of unknown range. Save it with 8 or 16 bits per channel.")
    return np.repeat((gray >> 8).astype(np.uint8)[..., None], 3, axis=2)


def _damaged(name: str, error: Exception, file: BinaryIO | None = None) -> DataError:
    """Return the error for a file that Pillow cannot read; with the file, the name of its format if it is another."""
    if file is not None and isinstance(error, Image.UnidentifiedImageError):
        file.seek(0)
        if (foreign := describe_foreign(file.read(HEAD_LENGTH))) is not None:
            what, advice = foreign
            return DataError(f"{name} cannot be read as an image: it is {what}. {advice}.")
    reason = "unknown image format" if isinstance(error, Image.UnidentifiedImageError) else error
    return DataError(f"{name} cannot be read as an image ({reason}). Replace the file.")
