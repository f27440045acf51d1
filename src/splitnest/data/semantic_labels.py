"""Photographs with a class for every pixel."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories
from splitnest.data.panoptic_labels import UNLABELLED
from splitnest.errors import DataError, first_few
from splitnest.results.semantic import SemanticSegmentation


class SemanticDataset(ABC):
    """What semantic segmentation is trained and evaluated on.

    Attributes:
        categories: Index -> class.
        source: Where the photographs are from, for messages.
        has_annotations: False for a test set, of which there are photographs alone.
    """

    categories: Categories
    source: str
    has_annotations: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of photographs."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return what a photograph is called in messages and results."""

    @abstractmethod
    def read(self, index: int) -> NDArray[np.uint8]:
        """Read the pixels of one photograph, uint8 RGB ``[H, W, 3]``.

        Raises:
            DataError: It cannot be read.
        """

    @abstractmethod
    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        """Read the label map of one photograph.

        Returns:
            ``[H, W]`` of the photograph's size: indices into ``categories``, or ``unlabelled(categories)``, as
            ``SemanticSegmentation.label_dtype``.

        Raises:
            DataError: There is none, it cannot be read, has another size than its photograph, or a value that stands
                for no class.
        """

    def image_id(self, index: int) -> int:
        """Return the number of a photograph: its index."""
        return index

    def require_label_maps(self) -> None:
        """Raise a DataError if photographs lack their label map."""
        if missing := self.check_files():
            raise DataError(
                f"{self.source} has photographs without a label map: {first_few(missing)}. Add the maps, or take the "
                f"photographs away."
            )

    def check_files(self) -> list[str]:
        """List the names of photographs whose label map is missing."""
        return []

    @property
    def problems(self) -> list[str]:
        """What is odd, one line each: the missing label maps."""
        return [f"{name}: it has no label map" for name in self.check_files()]


def unlabelled(categories: Categories) -> int:
    """Return what a label map has where a pixel has no label: 255, or 65535 from 256 classes on."""
    return int(np.iinfo(SemanticSegmentation.label_dtype(categories)).max)


def check_maps(images: Sequence[NDArray[np.uint8]], maps: Sequence[NDArray[np.integer]], num_classes: int) -> None:
    """Check maps that somebody made: a value that is no class ends as an index out of range in a loss.

    Args:
        images: ``[H, W, 3]`` each.
        maps: ``[H, W]`` each, classes from 0, and 255 for pixels without one.
        num_classes: How many there are.

    Raises:
        DataError: A map has another size than its image, or a value that is no class.
    """
    for number, (image, labels) in enumerate(zip(images, maps, strict=True)):
        if labels.shape != image.shape[:2]:
            raise DataError(f"semantic[{number}] is of size {labels.shape}, but its image of {image.shape[:2]}.")
        for value in np.setdiff1d(labels, [*range(num_classes), UNLABELLED])[:1].tolist():
            raise DataError(
                f"semantic[{number}] has the value {value} in {np.count_nonzero(labels == value)} pixels, but there "
                f"are {num_classes} classes, from 0, and {UNLABELLED} for pixels without one."
            )
