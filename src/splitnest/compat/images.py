"""Images as scripts of the code bases give and show them: BGR arrays or paths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.images.read import to_array
from splitnest.errors import OutputError
from splitnest.visualize.write import is_free, write_image


def read_rgb(image: str | Path | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image as uint8 RGB ``[H, W, 3]``.

    Args:
        image: Path or URL, or uint8 BGR array ``[H, W, 3]``, as OpenCV reads it.

    Raises:
        DataError: The image cannot be read, or the array has another dtype or shape.
    """
    pixels, _ = to_array(image)
    return np.ascontiguousarray(pixels[..., ::-1]) if isinstance(image, np.ndarray) else pixels


def path_of(image: Any) -> str | None:
    """Return the path of an image; None for an array."""
    return str(image) if isinstance(image, str | Path) else None


def as_list(images: Any) -> tuple[list[Any], bool]:
    """Return one or several images as a list, and whether there were several."""
    is_batch = isinstance(images, Sequence) and not isinstance(images, str)
    return (list(images) if is_batch else [images]), is_batch


def show(picture: NDArray[np.uint8]) -> None:
    """Open a picture, uint8 RGB, in the viewer of the system; without one nothing happens."""
    Image.fromarray(picture).show()


def save(picture: NDArray[np.uint8], path: str | Path) -> None:
    """Write a picture, uint8 RGB, and create its folder.

    Raises:
        OutputError: The file exists and splitnest did not write it, or it cannot be written.
    """
    target = Path(path)
    if not is_free(target):
        raise OutputError(f"{target} exists, and splitnest did not write it. Give another path.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {target.parent} cannot be created: {error.strerror}.") from error
    write_image(target, picture)
