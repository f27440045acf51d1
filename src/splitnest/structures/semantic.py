"""Semantic segmentation result: a class for each pixel of one image."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from splitnest.structures.categories import Categories
from splitnest.structures.masks import mask_to_rle
from splitnest.structures.picture import Pictured
from splitnest.structures.validation import checked_array, checked_image, checked_labels, checked_sizes
from splitnest.visualize import color_map, draw_semantic
from splitnest.visualize.segmentation import TINT_OPACITY


@dataclass(frozen=True, eq=False, repr=False)
class SemanticSegmentation(Pictured):
    """Label map of one image. The array is read-only.

    Attributes:
        labels: ``[H, W]``, indices into ``categories``, uint8 for up to 255 classes and uint16 for more. The maximum of
            the dtype (255 or 65535) marks unlabeled pixels, as in ground truth.
        image_size: Height and width of the original image in pixels.
        categories: Classes in index order.

    Raises:
        ValueError: A field has another dtype or shape, or a label has no class.
    """

    labels: np.ndarray
    image_size: tuple[int, int] = field(kw_only=True)
    categories: Categories = field(kw_only=True)

    def __post_init__(self) -> None:
        sizes = checked_sizes("SemanticSegmentation", self.image_size, self.categories)
        dtype = self.label_dtype(self.categories)
        labels = checked_array("SemanticSegmentation.labels", self.labels, dtype, ("H", "W"), sizes)
        checked_labels("SemanticSegmentation.labels", labels[labels != np.iinfo(dtype).max], self.categories)
        object.__setattr__(self, "labels", labels)

    @staticmethod
    def label_dtype(categories: Categories) -> np.dtype:
        """Return the dtype of label maps: the smallest one whose maximum is free to mark unlabeled pixels."""
        return np.dtype(np.uint8 if len(categories) <= np.iinfo(np.uint8).max else np.uint16)

    @classmethod
    def unlabeled(cls, categories: Categories) -> int:
        """Return the value of unlabeled pixels: 255, or 65535 for more than 255 classes."""
        return int(np.iinfo(cls.label_dtype(categories)).max)

    @classmethod
    def empty(cls, image_size: tuple[int, int], categories: Categories) -> Self:
        """Return a result whose pixels are all unlabeled."""
        dtype = cls.label_dtype(categories)
        return cls(np.full(image_size, np.iinfo(dtype).max, dtype), image_size=image_size, categories=categories)

    def __repr__(self) -> str:
        height, width = self.image_size
        names = ", ".join(self.categories[label].name for label in self.areas())
        return f"SemanticSegmentation({names or 'nothing'} in {height} x {width})"

    def above(self, score: float) -> Self:
        """Return the segmentation unchanged; it has no detections to filter."""
        return self

    def areas(self) -> dict[int, int]:
        """Return label -> number of pixels for the classes that occur, largest area first."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.categories))[: len(self.categories)]
        order = np.argsort(-counts, kind="stable")
        return {int(label): int(counts[label]) for label in order if counts[label]}

    def _rows(self) -> list[tuple[int, int, dict[str, Any]]]:
        return [(label, area, mask_to_rle(self.labels == label)) for label, area in self.areas().items()]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict with a compressed COCO RLE for each class that occurs."""
        segments = [
            {
                "label": label,
                "id": self.categories[label].id,
                "name": self.categories[label].name,
                "area": area,
                "mask": rle,
            }
            for label, area, rle in self._rows()
        ]
        return {"image_size": list(self.image_size), "segments": segments}

    def to_coco(self, image_id: int) -> list[dict[str, Any]]:
        """Return the rows of a COCO stuff results file, one mask for each class that occurs.

        Args:
            image_id: Id of the image in the annotation file.
        """
        return [
            {"image_id": image_id, "category_id": self.categories[label].id, "segmentation": rle}
            for label, _, rle in self._rows()
        ]

    def draw(self, image: np.ndarray, opacity: float = TINT_OPACITY, legend: bool = True) -> np.ndarray:
        """Draw the classes in their colors, with a legend, on a copy of the image.

        Args:
            image: uint8 RGB ``[H, W, 3]`` of size ``image_size``.
            opacity: Opacity of the colors, from 0 to 1.
            legend: Whether to draw the legend.

        Returns:
            uint8 RGB ``[H, W, 3]``.
        """
        classes = {label: (self.categories[label].name, self.categories[label].color) for label in self.areas()}
        pixels = checked_image(image, self.image_size)
        return draw_semantic(pixels, self.labels, classes, opacity=opacity, legend=legend)

    def color_map(self) -> np.ndarray:
        """Return each pixel in the color of its class, black if unlabeled, uint8 RGB ``[H, W, 3]``."""
        return color_map(self.labels, [category.color for category in self.categories])
