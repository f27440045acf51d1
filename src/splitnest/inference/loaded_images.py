"""Images that were read for prediction."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.images.read import is_url, read_image, to_array
from splitnest.errors import DataError


@dataclass(frozen=True)
class LoadedImage:
    """One of several images.

    Attributes:
        index: Index of the image.
        name: Path or URL of the image.
        pixels: uint8 RGB ``[H, W, 3]``.
        read_again: Function that returns the pixels later, for drawing; None if they are not kept.
    """

    index: int
    name: str
    pixels: NDArray[np.uint8]
    read_again: Callable[[], NDArray[np.uint8]] | None = None


def load_images(
    sources: Iterable[Any], on_error: Callable[[str, DataError], None] | None, *, keeps_pixels: bool
) -> Iterator[LoadedImage]:
    """Yield images; those that are no files are kept for drawing if ``keeps_pixels`` is set.

    Args:
        sources: Paths, URLs, PIL images or uint8 RGB arrays ``[H, W, 3]``.
        on_error: Function that is called for an unreadable image, which is then skipped; None raises the error.
        keeps_pixels: Whether images that are no files can be read again.
    """
    for index, source in enumerate(sources):
        try:
            pixels, name = to_array(source)
        except DataError as error:
            if on_error is None:
                raise
            on_error(str(source), error)
            continue
        read_again: Callable[[], NDArray[np.uint8]] | None = None
        if isinstance(source, str | Path) and not is_url(source):
            read_again = partial(read_image, source)
        elif keeps_pixels:
            read_again = partial(np.asarray, pixels)
        yield LoadedImage(index, name, pixels, read_again)
