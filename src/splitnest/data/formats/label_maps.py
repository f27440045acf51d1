"""Encodings of label maps: from the pixel values of a file to labels."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from splitnest.errors import DataError, first_few

MAX_LISTED = 3
"""Number of unknown values that a message lists."""

_UNKNOWN = -1


class LabelEncoding:
    """Mapping from the pixel values of a label map file to labels.

    Args:
        label_of: Pixel value -> label. A color is one value, see ``color_value``.
        dtype: Type of the labels.
        is_colored: Whether pixel values are colors.
    """

    def __init__(self, label_of: Mapping[int, int], dtype: np.dtype, is_colored: bool = False) -> None:
        self.dtype, self.is_colored = dtype, is_colored
        self._values = np.array(sorted(label_of), np.int64)
        self._labels = np.array([label_of[value] for value in self._values.tolist()], np.int64)

    def decode(self, values: NDArray[np.integer], path: PurePath) -> NDArray[np.unsignedinteger]:
        """Return the label of each pixel.

        Args:
            values: Pixel values, ``[H, W]``.
            path: Path of the file, for messages.

        Raises:
            DataError: A pixel value is unknown.
        """
        if values.dtype in (np.uint8, np.uint16):  # fewer values than pixels
            labels = self._look_up(np.arange(np.iinfo(values.dtype).max + 1))[values]
        else:
            labels = self._look_up(values)
        if (unknown := labels == _UNKNOWN).any():
            raise DataError(f"{path} has {self._explain(values[unknown], values.size)}")
        return labels.astype(self.dtype)

    def _look_up(self, values: NDArray[np.integer]) -> NDArray[np.int64]:
        place = np.searchsorted(self._values, values).clip(max=len(self._values) - 1)
        return np.where(self._values[place] == values, self._labels[place], _UNKNOWN)

    def _explain(self, unknown: NDArray[np.integer], total: int) -> str:
        values, counts = np.unique(unknown, return_counts=True)
        order = np.argsort(-counts, kind="stable").tolist()
        listed = first_few(
            [f"{self._name(int(values[i]))} in {counts[i]} of {total} pixels" for i in order], MAX_LISTED
        )
        if self.is_colored:
            return (
                f"{listed}, which data.palette does not list. Correct the file or data.palette, or list the colors of "
                f"unlabeled pixels in data.ignore_colors."
            )
        return (
            f"{listed}, but the values of classes and of unlabeled pixels are {_ranges(self._values.tolist())}. "
            f"Correct the file, or data.classes and data.ignore_label."
        )

    def _name(self, value: int) -> str:
        return f"color ({value >> 16}, {value >> 8 & 255}, {value & 255})" if self.is_colored else f"value {value}"


def color_value(red: int, green: int, blue: int) -> int:
    """Return a color as one number."""
    return red << 16 | green << 8 | blue


def color_values(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the color of each pixel, uint8 RGB ``[H, W, 3]``, as one number: see ``color_value``."""
    red, green, blue = np.moveaxis(pixels.astype(np.int32), 2, 0)
    return red << 16 | green << 8 | blue


def _ranges(values: Sequence[int]) -> str:
    """Return increasing numbers as text: ``0 to 10, 255``."""
    ends = [i for i, value in enumerate(values) if value + 1 not in values[i + 1 : i + 2]]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return ", ".join(
        f"{values[start]} to {values[end]}" if end > start else str(values[start])
        for start, end in zip(starts, ends, strict=True)
    )
