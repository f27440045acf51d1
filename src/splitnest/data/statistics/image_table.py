"""Images of a dataset of any task, with the classes and boxes in them.

Shapes: I images, R rows, C classes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.editing.dataset import Dataset, unified_classes
from splitnest.data.editing.open import open_dataset
from splitnest.data.images.size import image_size
from splitnest.data.recognition.recognize import recognize
from splitnest.errors import DataError, UsageError


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
    try:
        dataset = open_dataset(path)
    except UsageError:  # no instances: classes of images or of pixels
        return _of_classes(path)
    return _of_instances(dataset)


def _of_instances(dataset: Dataset) -> ImageTable:
    categories = unified_classes(dataset.splits)
    label_of = {name: label for label, name in enumerate(categories.names)}
    first, images, labels = 0, [], []
    for split in dataset.splits:
        images.append(split.file.image_index + first)
        own = np.array([label_of[name] for _, name in split.file.categories], np.int64)
        labels.append(own[split.file.category_index] if len(own) else np.zeros(0, np.int64))
        first += len(split.file.file_names)
    is_instance = ~np.concatenate([split.file.iscrowd for split in dataset.splits])
    boxes = np.concatenate([split.file.boxes_xywh for split in dataset.splits])[is_instance]
    return ImageTable(
        source=dataset.source,
        format=dataset.format,
        classes=categories.names,
        paths=[split.images_dir / name for split in dataset.splits for name in split.file.file_names],
        names=[name for split in dataset.splits for name in split.file.file_names],
        splits=[split.name or "all" for split in dataset.splits for _ in split.file.file_names],
        sizes_hw=np.concatenate([split.file.sizes_hw for split in dataset.splits]),
        image_index=np.concatenate(images)[is_instance],
        labels=np.concatenate(labels)[is_instance],
        boxes_xyxy=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        areas=np.concatenate([split.file.areas for split in dataset.splits])[is_instance],
    )


def _of_classes(path: Path) -> ImageTable:
    found = recognize(path)
    contents = [(name, part) for name, part in (("train", found.train), ("val", found.val)) if part is not None]
    paths, names, splits = list[Path](), list[str](), list[str]()
    pairs: list[NDArray[np.int64]] = []
    for split, content in contents:
        folder = found.root / str(found.data.get(f"{split}_images") or ".")
        pairs.append(content.pairs + np.array([len(names), 0]))
        paths += [folder / name for name in content.names]
        names += content.names
        splits += [split if len(contents) > 1 else "all"] * len(content)
    rows = np.concatenate(pairs)
    return ImageTable(
        source=path,
        format=found.format,
        classes=(*found.classes, *found.stuff),
        paths=paths,
        names=names,
        splits=splits,
        sizes_hw=np.array([_size(file) for file in paths], np.int64).reshape(-1, 2),
        image_index=rows[:, 0],
        labels=rows[:, 1],
    )


def _size(path: Path) -> tuple[int, int]:
    try:
        return image_size(path)
    except DataError:
        return 0, 0
