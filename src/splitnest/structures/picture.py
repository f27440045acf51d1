"""Results as pictures: saving to files, and display in notebooks."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from splitnest.errors import DataError, OutputError, UsageError
from splitnest.files import write_json
from splitnest.structures.categories import Categories
from splitnest.structures.tables import data_frame
from splitnest.visualize.write import is_free, write_image

MAX_NOTEBOOK_SIDE = 1024
"""Maximum side in pixels of the picture that a notebook shows and stores."""


class Pictured(ABC):
    """Base of the results for one image: they are drawn on it, saved, and shown in notebooks.

    ``predict`` tells a result its image: the path, from which it is read again, or the pixels that were given. An array
    or a Pillow image that came from a generator is not kept.
    """

    categories: Categories
    _read_image: Callable[[], np.ndarray] | None = None

    @abstractmethod
    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw the result on a copy of the image, uint8 RGB ``[H, W, 3]``."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""

    def to_dataframe(self) -> Any:
        """Return a ``pandas.DataFrame`` of one row for each instance, segment or class; see ``table_columns``.

        Raises:
            UsageError: pandas is not installed.
        """
        return data_frame(self.to_dict(), self.categories)

    def save(self, path: str | Path, image: np.ndarray | None = None) -> None:
        """Save the result as a picture or, with the suffix ``.json``, as the content of ``to_dict``.

        A picture does not replace files that splitnest did not write, such as the image itself.

        Args:
            path: Path of the file; its suffix selects the format.
            image: uint8 RGB ``[H, W, 3]`` to draw on; None takes the image that the result was predicted for.

        Raises:
            UsageError: There is no such format, or the image is not known.
            DataError: The image cannot be read any more.
            OutputError: The file cannot be written, or is of others.
        """
        target = Path(path)
        if target.suffix.lower() == ".json":
            write_json(target, self.to_dict())
            return
        if target.suffix.lower() not in Image.registered_extensions():
            raise UsageError(f"{path} has no suffix of a picture. Give .png, .jpg or .webp, or .json for the values.")
        pixels = self._image() if image is None else image
        if pixels is None:
            raise UsageError(
                f"{path}: the image of this result was not kept. Give it: save(path, image), uint8 RGB [H, W, 3]."
            )
        if not is_free(target):
            raise OutputError(f"{path} exists, and splitnest did not write it. Give another path.")
        write_image(target, self.draw(pixels))

    def on_image(self, read_image: Callable[[], np.ndarray] | None) -> Self:
        """Tell the result how to read its image, uint8 RGB ``[H, W, 3]``, and return it."""
        object.__setattr__(self, "_read_image", read_image)  # results are frozen
        return self

    def _image(self) -> np.ndarray | None:
        return None if self._read_image is None else self._read_image()

    def _repr_png_(self) -> bytes | None:
        """Return the picture that a notebook shows; None, which shows the text, where the image is not known."""
        try:
            pixels = self._image()
        except DataError:  # the file is gone
            return None
        if pixels is None:
            return None
        picture, file = Image.fromarray(self.draw(pixels)), io.BytesIO()
        picture.thumbnail((MAX_NOTEBOOK_SIDE, MAX_NOTEBOOK_SIDE))
        picture.save(file, "PNG")
        return file.getvalue()
