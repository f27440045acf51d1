"""Heat map of an explanation: how much each part of an image contributes to a score."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splitnest.structures.picture import Pictured
from splitnest.structures.validation import checked_image
from splitnest.visualize.heat_map import draw_heat_map


@dataclass(frozen=True, eq=False)
class HeatMap(Pictured):
    """Heat map of one image.

    Attributes:
        grid: Values of the cells of a feature map, float32 ``[h, w]`` from 0 to 1.
        region: Part of the image that the grid covers, xyxy in pixels; it may reach beyond the image.
        title: Explained score and method, for the legend.
        box: Box of the explained detection, xyxy in pixels; None for other explanations.
        image_size: Height and width of the original image in pixels.
    """

    grid: np.ndarray
    region: tuple[float, float, float, float]
    title: str
    box: tuple[float, float, float, float] | None = None
    image_size: tuple[int, int] = field(kw_only=True)

    @property
    def values(self) -> np.ndarray:
        """Value of each pixel, bilinear between the centers of the cells, float32 ``[H, W]``; 0 outside the region."""
        x1, y1, x2, y2 = self.region
        down, across = _weights(y1, y2, *self._sides(0)), _weights(x1, x2, *self._sides(1))
        return down @ self.grid @ across.T

    def _sides(self, axis: int) -> tuple[int, int]:
        return self.image_size[axis], self.grid.shape[axis]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict; values are those of the cells."""
        return {
            "image_size": list(self.image_size),
            "title": self.title,
            "box": None if self.box is None else list(self.box),
            "region": list(self.region),
            "grid": [[round(value, 5) for value in row] for row in self.grid.tolist()],
        }

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw the heat map over a copy of the image, and a legend below it.

        Args:
            image: uint8 RGB ``[H, W, 3]`` of size ``image_size``.

        Returns:
            uint8 RGB ``[H', W', 3]``: the image, enlarged if it is small, and the legend.
        """
        return draw_heat_map(checked_image(image, self.image_size), self.values, self.title, self.box)


def _weights(start: float, end: float, pixels: int, cells: int) -> np.ndarray:
    """Return the bilinear weights ``[pixels, cells]`` of cells that lie between two places, 0 for pixels outside."""
    centers = np.arange(pixels) + 0.5
    positions = np.clip((centers - start) / (end - start) * cells - 0.5, 0, cells - 1)
    weights = np.clip(1 - np.abs(positions[:, None] - np.arange(cells)), 0, None)
    inside = (centers > start) & (centers < end)
    return (weights * inside[:, None]).astype(np.float32)
