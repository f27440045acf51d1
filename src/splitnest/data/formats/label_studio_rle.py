"""Run-length encoding of Label Studio's brush masks, which is not that of COCO.

Source: label-studio-converter, ``brush.py``; @thi.ng/rle-pack.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS = 4
"""Number of values of a pixel, RGBA, the last of which is the mask."""


def decode(data: Any, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of a brush region, bool ``[H, W]``.

    Args:
        data: Bytes as a list of integers.
        size_hw: Height and width of the image in pixels.

    Raises:
        ValueError: The data are not valid, or of an image of another size.
    """
    try:
        bits = _Bits(bytes(data))
    except (TypeError, ValueError) as error:
        raise ValueError("'rle' is not a list of integers from 0 to 255") from error
    height, width = size_hw
    count = bits.read(32)
    if count != height * width * CHANNELS:
        raise ValueError(f"'rle' has {count // CHANNELS} pixels, and the image has {width} x {height}")
    word_size = bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    position = 0
    while position < count:
        is_run = bits.read(1)
        end = position + 1 + bits.read(sizes[bits.read(2)])
        if is_run:
            values[position:end] = min(bits.read(word_size), 255)
        else:
            words = [min(bits.read(word_size), 255) for _ in range(min(end, count) - position)]
            values[position : position + len(words)] = words
        position = end
    return values.reshape(height, width, CHANNELS)[..., CHANNELS - 1] > 0


class _Bits:
    """Stream of bits, the highest one of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def read(self, size: int) -> int:
        """Return the next bits as an integer."""
        end = self._position + size
        if end > 8 * len(self._data):
            raise ValueError("'rle' ends too early")
        chunk = self._data[self._position // 8 : (end + 7) // 8]
        self._position = end
        return (int.from_bytes(chunk, "big") >> (-end % 8)) & ((1 << size) - 1)
