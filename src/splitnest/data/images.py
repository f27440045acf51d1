"""Photographs from wherever a user has them, as uint8 RGB arrays; every damaged one is a plain error."""

import glob
import http.client
import io
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from splitnest.errors import DataError

Source = str | Path | Image.Image | NDArray[np.uint8]
"""A path, an http(s) address, a Pillow image, or a uint8 RGB array ``[H, W, 3]``."""

_Array = TypeVar("_Array", NDArray[np.uint8], NDArray[np.integer])

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})
"""What counts as a photograph in a folder."""

MAX_PIXELS = 500_000_000
"""Larger images are refused: at 3 bytes a pixel and two copies they need over 3 GB."""

MAX_DOWNLOAD_BYTES = 100_000_000
DOWNLOAD_TIMEOUT_S = 30

# Only formats that are pixels: Pillow's EPS reader would run Ghostscript on a program from the file.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")

# How to turn pixels of each EXIF orientation upright (Exif 2.32, tag 0x0112); Pillow counts angles counter-clockwise.
_TURNS: dict[int | None, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def expand_sources(source: Source | Sequence[Source]) -> list[Source]:
    """List the images that ``source`` stands for.

    A folder stands for the images in it (not below it) and a glob pattern for the files that match it, both sorted. A
    path that exists is never taken for a pattern, and one that does not stays in the list, so that reading it says so.

    Raises:
        DataError: A folder without images, a pattern that matches no file, or something that is no image.
    """
    if isinstance(source, str | Path):
        return _expand_path(source)
    if isinstance(source, Image.Image | np.ndarray):
        return [source]
    if not isinstance(source, Sequence):
        raise _not_an_image(source)
    return [image for item in source for image in expand_sources(item)]


def to_array(source: Source) -> tuple[NDArray[np.uint8], str]:
    """Return the pixels of one image, uint8 RGB ``[H, W, 3]``, and what to call it: its path or address.

    Raises:
        DataError: It cannot be read, or an array has another type or shape.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or source.size == 0:
            raise DataError(
                f"An image array must be uint8 RGB of shape (height, width, 3), but this one is {source.dtype} of "
                f"shape {source.shape}. Convert it, or give a list of such arrays."
            )
        return source, source_name(source)
    if isinstance(source, Image.Image):
        return _pixels(source, source_name(source)), source_name(source)
    if not isinstance(source, str | Path):
        raise _not_an_image(source)
    if _is_url(source):
        return _decode(io.BytesIO(_download(str(source))), str(source), _pixels), source_name(source)
    return read_image(source), source_name(source)


def source_name(source: Source) -> str:
    """Return what an image is called, before it is read: its path or address, or what it is."""
    if isinstance(source, np.ndarray):
        return "array"
    return str(getattr(source, "filename", "") or "image") if isinstance(source, Image.Image) else str(source)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as uint8 RGB ``[H, W, 3]``.

    Its EXIF orientation is applied, as OpenCV and detectron2 do; transparency is dropped; 16-bit pixels lose their low
    byte; CMYK and palettes are converted by Pillow.

    Raises:
        DataError: There is no such file, or it is a folder, damaged, no image, or over ``MAX_PIXELS``.
    """
    return _decode_file(path, _pixels)


def read_values(path: str | Path) -> NDArray[np.integer]:
    """Read an image file of one channel as it is, integers ``[H, W]``: of a palette image, the indices.

    Raises:
        DataError: As ``read_image``; or it has colours.
    """
    return _decode_file(path, _values)


def open_header(file: BinaryIO, name: str) -> Image.Image:
    """Return an image whose pixels are not read yet; it is to be closed.

    Raises:
        DataError: It is damaged, no image, or over ``MAX_PIXELS``.
    """
    # Pillow warns at its own limit and refuses at twice of it; ours, checked before a pixel is decoded, replaces it.
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS)
    try:
        image = Image.open(file, formats=_FORMATS)
    except Exception as error:  # what Pillow raises on a damaged file has no common base
        raise _damaged(name, error) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise DataError(
            f"{name} has {image.width} x {image.height} pixels, more than {MAX_PIXELS // 10**6} million. "
            f"Scale it down or cut it."
        )
    return image


def orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation, 1 to 8; None where there is none (loading a TIFF applies it and takes it away)."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged EXIF block says nothing of the orientation, and the pixels are sound
        return None


def _expand_path(source: str | Path) -> list[Source]:
    if _is_url(source) or os.path.isfile(source):
        return [source]
    path = Path(source)
    if path.is_dir():
        images = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())
        if not images:
            raise DataError(f"{path} holds no image. Name a folder with {', '.join(sorted(SUFFIXES))} files.")
        return list(images)
    if glob.has_magic(str(source)):
        matches = sorted(name for name in glob.glob(str(source), recursive=True) if os.path.isfile(name))
        if not matches:
            raise DataError(f"No file matches {source}. Check the pattern.")
        return list(matches)
    return [source]


def _is_url(source: str | Path) -> bool:
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def _not_an_image(source: object) -> DataError:
    return DataError(
        f"{type(source).__name__} is not an image. Give a path, an address, a folder, a pattern, a Pillow image, "
        f"a uint8 RGB array, or a list of these."
    )


def _download(url: str) -> bytes:
    """Return what is at ``url``, at most ``MAX_DOWNLOAD_BYTES``."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "splitnest"})
        with urllib.request.urlopen(request, timeout=DOWNLOAD_TIMEOUT_S) as response:
            content: bytes = response.read(MAX_DOWNLOAD_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DataError(f"{url} cannot be fetched ({error}). Check the address and the connection.") from error
    if len(content) > MAX_DOWNLOAD_BYTES:
        raise DataError(f"{url} is over {MAX_DOWNLOAD_BYTES // 10**6} MB. Fetch it by hand and give the file.")
    return content


def _decode_file(path: str | Path, decode: Callable[[Image.Image, str], _Array]) -> _Array:
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder, not an image. Name a file in it.")
    try:
        with open(path, "rb") as file:
            return _decode(file, str(path), decode)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise DataError(f"{path} cannot be opened ({error}). Check the path and its permissions.") from error


def _decode(file: BinaryIO, name: str, decode: Callable[[Image.Image, str], _Array]) -> _Array:
    with open_header(file, name) as image:
        try:
            return decode(image, name)
        except DataError:
            raise
        except Exception as error:  # a mode that Pillow does not convert, for example
            raise _damaged(name, error) from error


def _pixels(image: Image.Image, name: str) -> NDArray[np.uint8]:
    image = _upright(image, name)
    if image.mode.startswith("I"):
        return _from_16_bit(np.asarray(image), name)
    if image.mode == "F":
        raise DataError(f"{name} has floating point pixels, whose range is not known. Save it with 8 or 16 bits.")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # on the direct way Pillow warns
    return np.array(image.convert("RGB"))


def _values(image: Image.Image, name: str) -> NDArray[np.integer]:
    image = _upright(image, name)
    if image.mode == "F":
        raise DataError(f"{name} has floating point pixels, which are no class indices. Save it with 8 or 16 bits.")
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise DataError(
            f"{name} has colours ({image.mode}), not one number a pixel. Set data.format=folders, "
            f"data.label_maps=colors and data.palette to the colours of the classes, or give maps of class indices."
        )
    return np.array(image, np.uint8 if image.mode == "1" else None)


def _upright(image: Image.Image, name: str) -> Image.Image:
    """Return an image with its pixels read, turned by its EXIF orientation."""
    try:
        image.load()
    except Exception as error:
        raise _damaged(name, error) from error
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def _from_16_bit(grey: NDArray[np.integer], name: str) -> NDArray[np.uint8]:
    """Keep the high byte of 16-bit grey pixels ``[H, W]``, as OpenCV does; Pillow would clip them at 255."""
    if grey.min() < 0 or grey.max() > 0xFFFF:
        raise DataError(f"{name} has 32-bit pixels, whose range is not known. Save it with 8 or 16 bits.")
    return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)


def _damaged(name: str, error: Exception) -> DataError:
    reason = "no known image format" if isinstance(error, Image.UnidentifiedImageError) else error
    return DataError(f"{name} cannot be read as an image ({reason}). It is damaged or something else: replace it.")
