"""Interface of the datasets of all tasks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.class_counts import ClassCounts
from splitnest.errors import first_few
from splitnest.structures.categories import Categories


class ImageDataset(ABC):
    """Images with ground truth, by index. The ground truth has the form of the task.

    Attributes:
        categories: Classes that the labels index.
        source: Annotation file or image folder, for messages.
        inputs: Annotation files that are read, if there are several; results do not replace them.
        has_annotations: Whether there is ground truth; False for a test set.
    """

    categories: Categories
    source: str
    has_annotations: bool = True
    inputs: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return the name of an image in messages and results: its path in the image folder."""

    @abstractmethod
    def read(self, index: int) -> NDArray[np.uint8]:
        """Read the pixels of an image, uint8 RGB ``[H, W, 3]``.

        Raises:
            DataError: The image cannot be read.
        """

    def path(self, index: int) -> Path | None:
        """Return the file of an image; None where images are no files."""
        return None

    def image_id(self, index: int) -> int:
        """Return the id of an image in result files: its index, unless the annotation file gives another."""
        return index

    @property
    def file_notes(self) -> Mapping[str, tuple[str, ...]]:
        """Kind of file that the dataset does not read -> names of these files; or another anomaly of the files."""
        return {}

    def describe_file_notes(self) -> list[str]:
        """Return each kind of ``file_notes`` with number and examples, one line each."""
        return [f"{kind}: {len(names)}, {first_few(names)}" for kind, names in self.file_notes.items() if names]

    @property
    def problems(self) -> list[str]:
        """Anomalies of the ground truth and its files, one line each; they do not stop an evaluation."""
        return self.describe_file_notes()

    def class_counts(self) -> list[ClassCounts]:
        """Return the frequency of the classes in the ground truth, one item for each kind of class or keypoint."""
        return []

    def check_files(self) -> list[str]:
        """Return the paths of files that the dataset refers to and that do not exist."""
        return []
