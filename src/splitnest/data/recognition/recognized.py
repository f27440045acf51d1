"""Recognized dataset: format, task, classes and splits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.recipe import Task


@dataclass(frozen=True)
class SplitContent:
    """Images of a split, and the content of their annotations.

    Shapes: I images, P pairs, B boxes.

    Attributes:
        names: Name of each of the I images, relative to the image folder.
        pairs: int64 ``[P, 2]``, image index and class index of each instance, or of each class of an image.
        sizes_hw: int64 ``[I, 2]``, height and width in pixels; 0 where they were not read.
        boxes_wh: float64 ``[B, 3]``, image index, width and height in pixels of each box.
        num_read: Number of images whose annotations were read; fewer than I in a sample.
    """

    names: Sequence[str]
    pairs: NDArray[np.int64]
    sizes_hw: NDArray[np.int64]
    boxes_wh: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    num_read: int = -1

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_sample(self) -> bool:
        """Whether the annotations of some images were not read."""
        return 0 <= self.num_read < len(self.names)

    def counts(self, num_classes: int) -> NDArray[np.int64]:
        """Return the number of pairs of each class."""
        return np.bincount(self.pairs[:, 1], minlength=num_classes)


@dataclass(frozen=True)
class Recognized:
    """Recognized dataset.

    Attributes:
        format: Name of the format for people, such as ``Pascal VOC``.
        task: Task of the model that its annotations are for.
        root: Folder of the dataset.
        data: Keys of the data section of a recipe, without ``root`` and ``classes``.
        classes: Class names; thing classes of a panoptic dataset.
        classes_value: Value of ``data.classes``; None lists the names.
        train: Training split.
        val: Validation split; None for a dataset without one.
        stuff: Stuff classes of a panoptic dataset.
        keypoints: Names of keypoints.
        flip_pairs: Pairs of keypoints that a horizontal flip swaps; None where they follow from the names.
        can_flip: Whether it is known which keypoints a horizontal flip swaps.
        assumed: Assumptions, a sentence each.
    """

    format: str
    task: Task
    root: Path
    data: dict[str, Any]
    classes: tuple[str, ...]
    train: SplitContent
    val: SplitContent | None = None
    classes_value: str | None = None
    stuff: tuple[str, ...] = ()
    keypoints: tuple[str, ...] = ()
    flip_pairs: tuple[tuple[str, str], ...] | None = None
    can_flip: bool = True
    assumed: tuple[str, ...] = ()


def content_of(
    file: AnnotationFile,
    classes: Sequence[str],
    names: Sequence[str] | None = None,
    num_read: int | None = None,
    counted: NDArray[np.bool_] | None = None,
) -> SplitContent:
    """Return the content of a split with boxes.

    Args:
        file: Annotations, of all images or of a sample.
        classes: Class names in label order; instances of others are passed over.
        names: Names of all images, if the file has a sample of them.
        num_read: Number of images of the sample.
        counted: Whether each annotation counts; None counts all.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    label_of = np.array([index_of.get(name, -1) for _, name in file.categories], np.int64)
    labels = label_of[file.category_index] if len(label_of) else np.zeros(0, np.int64)
    all_names = file.file_names if names is None else names
    place = {name: index for index, name in enumerate(all_names)}
    image_of = np.array([place[name] for name in file.file_names], np.int64)
    sizes = np.zeros((len(all_names), 2), np.int64)
    sizes[image_of] = file.sizes_hw
    if counted is not None:
        labels = np.where(counted, labels, -1)
    kept = (labels >= 0) & ~file.iscrowd
    images = image_of[file.image_index] if len(image_of) else np.zeros(0, np.int64)
    return SplitContent(
        names=all_names,
        pairs=np.stack([images[labels >= 0], labels[labels >= 0]], axis=1),
        sizes_hw=sizes,
        boxes_wh=np.column_stack([images[kept], file.boxes_xywh[kept, 2:]]),
        num_read=len(all_names) if num_read is None else num_read,
    )
