"""Images of a dataset of any task, with the classes and boxes in them.

Shapes: I images, R rows, C classes.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.editing.dataset import Dataset, labels_in, unified_classes
from splitnest.data.editing.open import open_dataset
from splitnest.data.editing.split_kinds import InstanceSplit
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.images.size import image_size
from splitnest.errors import DataError
from splitnest.structures.categories import Categories


@dataclass(frozen=True)
class ImageTable:
    """Images and their annotations.

    Attributes:
        source: File or folder of the dataset.
        format: Name of its format.
        classes: C class names.
        paths: File of each image.
        names: Name of each image in its folder.
        splits: Name of the split of each image.
        sizes_hw: int64 ``[I, 2]``, height and width in pixels; 0 for an unreadable image.
        image_index, labels: int64 ``[R]``, image and class of each instance, or of each class of an image.
        boxes_xyxy: float64 ``[R, 4]`` in pixels; None for classes of images and pixels.
        areas: float64 ``[R]`` in square pixels, of the mask where there is one; None without boxes.
    """

    source: Path
    format: str
    classes: tuple[str, ...]
    paths: list[Path]
    names: list[str]
    splits: list[str]
    sizes_hw: NDArray[np.int64]
    image_index: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float64] | None = None
    areas: NDArray[np.float64] | None = None

    def presence(self) -> NDArray[np.bool_]:
        """Return whether each image has each class, ``[I, C]``."""
        presence = np.zeros((len(self.names), len(self.classes)), bool)
        presence[self.image_index, self.labels] = True
        return presence


def read_image_table(path: Path) -> ImageTable:
    """Return the images of a dataset of any format that is recognized.

    Raises:
        DataError: There is no dataset, there are several formats, or the annotations are not valid.
    """
    dataset = open_dataset(path)
    categories = unified_classes(dataset.splits)
    rows = np.concatenate([_rows(dataset, number, categories) for number in range(len(dataset.splits))])
    paths = [split.images_dir / name for split in dataset.splits for name in split.file_names]
    files = [split.file for split in dataset.splits if isinstance(split, InstanceSplit)]
    table = ImageTable(
        source=dataset.source,
        format=dataset.format,
        classes=categories.names,
        paths=paths,
        names=[name for split in dataset.splits for name in split.file_names],
        splits=[split.name or "all" for split in dataset.splits for _ in split.file_names],
        sizes_hw=np.zeros((0, 2), np.int64) if files else np.array([_size(p) for p in paths], np.int64).reshape(-1, 2),
        image_index=rows[:, 0],
        labels=rows[:, 1],
    )
    return _with_boxes(table, files) if files else table


def _rows(dataset: Dataset, number: int, categories: Categories) -> NDArray[np.int64]:
    """Return image index in the dataset and class index of each annotation of a split."""
    split, first = dataset.splits[number], sum(map(len, dataset.splits[:number]))
    pairs = split.pairs()
    return np.column_stack([pairs[:, 0] + first, labels_in(split, categories)[pairs[:, 1]]])


def _with_boxes(table: ImageTable, files: list[AnnotationFile]) -> ImageTable:
    """Return a table with the boxes of instances, without crowd regions."""
    is_instance = ~np.concatenate([file.iscrowd for file in files])
    boxes = np.concatenate([file.boxes_xywh for file in files])[is_instance]
    return replace(
        table,
        sizes_hw=np.concatenate([file.sizes_hw for file in files]),
        image_index=table.image_index[is_instance],
        labels=table.labels[is_instance],
        boxes_xyxy=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        areas=np.concatenate([file.areas for file in files])[is_instance],
    )


def _size(path: Path) -> tuple[int, int]:
    try:
        return image_size(path)
    except DataError:
        return 0, 0
