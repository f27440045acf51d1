"""Image classification dataset: images with one class each.

Shapes: I images.
"""

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.class_counts import ClassCounts
from splitnest.data.dataset import ImageDataset
from splitnest.data.formats.image_folders import ImageList
from splitnest.data.images.listing import NOT_AN_IMAGE
from splitnest.data.images.read import read_image
from splitnest.structures import Classification
from splitnest.structures.categories import Categories


class ClassificationDataset(ImageDataset):
    """Images with one class each.

    Names are stored as an array of bytes, which worker processes share even for a million images.

    Args:
        folder: Image folder.
        images: Images and their classes.
        categories: Classes of the model.
        source: Name of the file that lists the classes, or of several parts, in messages; None is the image folder.

    Attributes:
        labels: int64 ``[I]``, class index of each image; empty for images without classes.
    """

    def __init__(
        self, folder: Path, images: ImageList, categories: Categories, source: Path | str | None = None
    ) -> None:
        self.folder, self.categories, self.source = folder, categories, str(source or folder)
        self.has_annotations = images.labels is not None
        self.labels: NDArray[np.int64] = np.array(images.labels or [], np.int64)
        self._others = images.others
        self._names = np.array([os.fsencode(name) for name in images.names], np.bytes_)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Return the path of an image in the image folder."""
        return os.fsdecode(bytes(self._names[index]))

    def path(self, index: int) -> Path | None:
        """Return the file of an image."""
        return self.folder / self.name(index)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read the pixels of an image, uint8 RGB ``[H, W, 3]``."""
        return read_image(self.folder / self.name(index))

    def ground_truth(self, index: int, size_hw: tuple[int, int]) -> Classification:
        """Return the class of an image of this height and width as a result with probability 1."""
        probabilities = np.zeros(len(self.categories), np.float32)
        probabilities[self.labels[index]] = 1
        return Classification(probabilities, image_size=size_hw, categories=self.categories)

    def class_counts(self) -> list[ClassCounts]:
        """Return the number of images of each class."""
        if not self.has_annotations:
            return []
        counts = np.bincount(self.labels, minlength=len(self.categories)).tolist()
        advice = "Give images of at least two classes."
        by_name = dict(zip(self.categories.names, counts, strict=True))
        return [ClassCounts(self.source, "images", by_name, min_present=2, advice=advice)]

    @property
    def file_notes(self) -> Mapping[str, tuple[str, ...]]:
        """Files that are not images."""
        return {NOT_AN_IMAGE: self._others} if self._others else {}

    @cached_property
    def problems(self) -> list[str]:
        """Files that are not images, and classes without images, in one line each."""
        notes = [note for counts in self.class_counts() if (note := counts.note()) is not None]
        return [*self.describe_file_notes(), *notes]
