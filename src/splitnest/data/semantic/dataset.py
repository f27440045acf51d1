"""Semantic segmentation dataset: images with a label map each."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.class_counts import ClassCounts
from splitnest.data.dataset import ImageDataset
from splitnest.data.formats.label_map_folders import LabelMapFiles
from splitnest.data.formats.label_maps import color_values
from splitnest.data.images.listing import NOT_AN_IMAGE
from splitnest.data.images.read import read_image, read_values
from splitnest.data.images.size import image_size
from splitnest.data.semantic.label_histogram import count_labels
from splitnest.errors import DataError, first_few
from splitnest.structures import SemanticSegmentation


class SemanticDataset(ImageDataset):
    """Images with the class of each pixel."""

    @abstractmethod
    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        """Read the label map of an image.

        Returns:
            ``[H, W]``, indices into ``categories``, or ``SemanticSegmentation.unlabeled(categories)``; its type is
            ``SemanticSegmentation.label_dtype(categories)``.

        Raises:
            DataError: There is no label map, it cannot be read, has another size than the image, or an unknown value.
        """

    def ground_truth(self, index: int) -> SemanticSegmentation:
        """Return the label map of an image as a result."""
        labels = self.labels(index)
        size_hw = labels.shape[0], labels.shape[1]
        return SemanticSegmentation(labels, image_size=size_hw, categories=self.categories)

    def require_label_maps(self) -> None:
        """Raise a DataError if images have no label map."""
        if missing := self.check_files():
            raise DataError(
                f"{self.source} has images without a label map: {first_few(missing)}. Add the label maps, or remove "
                f"the images."
            )

    def class_counts(self) -> list[ClassCounts]:
        """Return the number of labeled pixels by class; a large dataset is sampled."""
        if not self.has_annotations:
            return []
        return [count_labels(self.labels, len(self), self.categories, self.source)]

    @property
    def problems(self) -> list[str]:
        """Images without a label map, one line each; and files that are not read, in one line for each kind."""
        return [f"{name}: it has no label map" for name in self.check_files()] + self.describe_file_notes()


class LabelMapDataset(SemanticDataset):
    """Images and label maps in files.

    Args:
        files: Image files and label map files, at least one.
        source: Name of the dataset in messages; None is the image folder.
    """

    def __init__(self, files: LabelMapFiles, source: str | None = None) -> None:
        self.files, self.categories = files, files.categories
        self.source, self.has_annotations = source or str(files.folder), files.label_maps is not None

    def __len__(self) -> int:
        return len(self.files.images)

    def name(self, index: int) -> str:
        """Return the path of an image in the image folder."""
        return self.files.images[index].relative_to(self.files.folder).as_posix()

    def path(self, index: int) -> Path:
        """Return the file of an image."""
        return self.files.images[index]

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read the pixels of an image, uint8 RGB ``[H, W, 3]``."""
        return read_image(self.files.images[index])

    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        """Read the label map of an image, ``[H, W]``."""
        if self.files.label_maps is None:
            raise DataError(f"{self.source} has no label maps. Set the folder of the annotations.")
        image, path = self.files.images[index], self.files.label_maps[index]
        if not path.is_file():
            raise DataError(f"{image} has no label map: {path} does not exist. Add it, or remove the image.")
        encoding = self.files.encodings[index]
        values = color_values(read_image(path)) if encoding.is_colored else read_values(path)
        size_hw = image_size(image)
        if values.shape != size_hw:
            raise DataError(
                f"{path} has {values.shape[1]} x {values.shape[0]} pixels, but its image {image} has {size_hw[1]} x "
                f"{size_hw[0]} upright. Replace the one that belongs to another image or to another size."
            )
        return encoding.decode(values, path)

    @property
    def file_notes(self) -> Mapping[str, tuple[str, ...]]:
        """Kind of file that is not read -> names of these files."""
        kinds = {NOT_AN_IMAGE: self.files.others, "label map without an image: not read": self.files.unpaired}
        return {kind: tuple(names) for kind, names in kinds.items() if names}

    def check_files(self) -> list[str]:
        """Return the names of images whose label map does not exist."""
        return [self.name(index) for index, path in enumerate(self.files.label_maps or ()) if not path.is_file()]
