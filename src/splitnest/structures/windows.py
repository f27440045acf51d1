"""Windows of an image: tiles and sliding windows."""

from typing import NamedTuple


class Window(NamedTuple):
    """Part of an image.

    Attributes:
        top, left: Row and column of its first pixel.
        height, width: Size in pixels.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the window in the image."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def sliding_windows(size_hw: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> list[Window]:
    """Return windows of one size that cover an image, by rows; the last ones are moved back into it.

    Args:
        size_hw: Height and width of the image in pixels.
        window: Height and width of a window; a window is no larger than the image.
        stride: Vertical and horizontal distance of two windows in pixels.
    """
    starts = []
    for side, length, step in zip(size_hw, window, stride, strict=True):
        number = max(side - length + step - 1, 0) // step + 1
        starts.append([max(min(n * step, side - length), 0) for n in range(number)])
    height, width = (min(side, length) for side, length in zip(size_hw, window, strict=True))
    return [Window(top, left, height, width) for top in starts[0] for left in starts[1]]
