"""Person crops of top-down pose estimation: the region that becomes the network's input."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CropRegion:
    """Rotated rectangle of the original image that is warped to the network's input. It may cross the image border.

    Attributes:
        center: float32 ``[2]``, x and y in pixels of the original image.
        size: float32 ``[2]``, width and height in pixels of the original image.
        rotation: Angle in degrees, from x towards y.
    """

    center: NDArray[np.float32]
    size: NDArray[np.float32]
    rotation: float = 0.0

    @classmethod
    def from_box(cls, box: NDArray[np.floating], padding: float) -> Self:
        """Return the region of a box ``[4]``, xyxy in pixels, with both sides multiplied by ``padding``."""
        x1y1, x2y2 = box.astype(np.float32).reshape(2, 2)
        return cls((x1y1 + x2y2) * np.float32(0.5), (x2y2 - x1y1) * np.float32(padding))

    def with_aspect_ratio(self, ratio: float) -> Self:
        """Return the region with one side extended to the aspect ratio width / height of the network's input."""
        ratio32, (width, height) = np.float32(ratio), self.size
        size = (width, width / ratio32) if width > height * ratio32 else (height * ratio32, height)
        return type(self)(self.center, np.array(size, np.float32), self.rotation)

    def to_original(self, points: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
        """Map points of an unrotated crop to the original image.

        Args:
            points: float32 ``[..., 2]``, x and y in pixels of the crop.
            size_hw: Height and width of the crop in pixels.
        """
        scaled = points / np.array(size_hw[::-1], np.float32) * self.size
        return scaled + self.center - np.float32(0.5) * self.size


@dataclass(frozen=True)
class Person:
    """Person whose pose is estimated.

    Attributes:
        region: Region of the original image that the crop shows.
        box: float32 ``[4]``, xyxy in pixels of the original image.
        score: Detection score of the box; 1 for a given box.
        label: Class index of the person.
    """

    region: CropRegion
    box: NDArray[np.float32]
    score: float = 1.0
    label: int = 0

    @classmethod
    def whole_image(cls, size_hw: tuple[int, int]) -> Self:
        """Return the person whose box is a whole image of this height and width."""
        size = np.array(size_hw[::-1], np.float32)
        return cls(CropRegion(size * np.float32(0.5), size), np.array([0, 0, *size], np.float32))
