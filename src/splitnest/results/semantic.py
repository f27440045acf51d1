"""A class for every pixel of one image."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from splitnest.data.categories import Categories
from splitnest.results.fields import checked_array, checked_labels, checked_sizes
from splitnest.results.interop import mask_to_rle


@dataclass(frozen=True, eq=False, repr=False)
class SemanticSegmentation:
    """One label per pixel. The array is read-only.

    Attributes:
        labels: [H, W] indices into ``categories``, uint8 for up to 255 categories, uint16 from 256 on. The largest
            number of the dtype (255 or 65535) marks a pixel without a label, as in ground truth.
        image_size: (H, W) of the input image.
        categories: Index -> id, name, colour.

    Raises:
        ValueError: If a field has another dtype or shape, or a label has no category.
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
        """The dtype of label maps: the smallest that keeps its largest number free for pixels without a label."""
        return np.dtype(np.uint8 if len(categories) <= np.iinfo(np.uint8).max else np.uint16)

    @classmethod
    def empty(cls, image_size: tuple[int, int], categories: Categories) -> Self:
        """A map whose pixels all lack a label."""
        dtype = cls.label_dtype(categories)
        return cls(np.full(image_size, np.iinfo(dtype).max, dtype), image_size=image_size, categories=categories)

    def __repr__(self) -> str:
        height, width = self.image_size
        names = ", ".join(self.categories[label].name for label in self.areas())
        return f"SemanticSegmentation({names or 'nothing'} in {height} x {width})"

    def areas(self) -> dict[int, int]:
        """Label -> number of pixels, for the labels that occur, the largest area first."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.categories))[: len(self.categories)]
        order = np.argsort(-counts, kind="stable")
        return {int(label): int(counts[label]) for label in order if counts[label]}

    def _rows(self) -> list[tuple[int, int, dict[str, Any]]]:
        return [(label, area, mask_to_rle(self.labels == label)) for label, area in self.areas().items()]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON: a compressed COCO RLE for each class that occurs."""
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
        """Rows of a COCO stuff results file: one mask for each class that occurs."""
        return [
            {"image_id": image_id, "category_id": self.categories[label].id, "segmentation": rle}
            for label, _, rle in self._rows()
        ]

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw on a copy of the image: see ``splitnest.visualize.draw_semantic``."""
        from splitnest.visualize import draw_semantic

        return draw_semantic(image, self)
