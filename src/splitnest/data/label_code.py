"""What the values in a file of labels mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.errors import DataError, first_few

MAX_NAMED = 3
"""Values without a meaning that a message names; the rest are counted."""

_NO_MEANING = -1


class LabelCode:
    """From the values in a file to labels.

    Args:
        meaning: Value -> label. A colour is one value: see ``color_value``.
        dtype: Of the labels.
        colored: The values are colours.
    """

    def __init__(self, meaning: Mapping[int, int], dtype: np.dtype, colored: bool = False) -> None:
        self.dtype, self.colored = dtype, colored
        self._values = np.array(sorted(meaning), np.int64)
        self._labels = np.array([meaning[value] for value in self._values.tolist()], np.int64)

    def decode(self, values: NDArray[np.integer], path: Path) -> NDArray[np.unsignedinteger]:
        """Return the label of each value.

        Args:
            values: ``[H, W]``.
            path: Of the file, for messages.

        Raises:
            DataError: A value has no meaning.
        """
        if values.dtype in (np.uint8, np.uint16):  # fewer values than pixels
            labels = self._look_up(np.arange(np.iinfo(values.dtype).max + 1))[values]
        else:
            labels = self._look_up(values)
        if (strange := labels == _NO_MEANING).any():
            raise DataError(f"{path} has {self._cite(values[strange], values.size)}")
        return labels.astype(self.dtype)

    def _look_up(self, values: NDArray[np.integer]) -> NDArray[np.int64]:
        place = np.searchsorted(self._values, values).clip(max=len(self._values) - 1)
        return np.where(self._values[place] == values, self._labels[place], _NO_MEANING)

    def _cite(self, strange: NDArray[np.integer], total: int) -> str:
        values, counts = np.unique(strange, return_counts=True)
        order = np.argsort(-counts, kind="stable").tolist()
        named = first_few([f"{self._name(int(values[i]))} in {counts[i]} of {total} pixels" for i in order], MAX_NAMED)
        if self.colored:
            return f"{named}, which data.palette lacks. Mend the file, or data.palette."
        return (
            f"{named}, but the values of classes, and of pixels without a label, are "
            f"{_ranges(self._values.tolist())}. Mend the file, or data.classes and data.ignore_label."
        )

    def _name(self, value: int) -> str:
        return f"colour ({value >> 16}, {value >> 8 & 255}, {value & 255})" if self.colored else f"value {value}"


def color_value(red: int, green: int, blue: int) -> int:
    """Return a colour as one number."""
    return red << 16 | green << 8 | blue


def color_values(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the colour of each pixel, uint8 RGB ``[H, W, 3]``, as one number: see ``color_value``."""
    red, green, blue = np.moveaxis(pixels.astype(np.int32), 2, 0)
    return red << 16 | green << 8 | blue


def _ranges(values: Sequence[int]) -> str:
    """Return rising numbers in words: ``0 to 10, 255``."""
    ends = [i for i, value in enumerate(values) if value + 1 not in values[i + 1 : i + 2]]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return ", ".join(
        f"{values[start]} to {values[end]}" if end > start else str(values[start])
        for start, end in zip(starts, ends, strict=True)
    )
