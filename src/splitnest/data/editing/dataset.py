"""Dataset of any format, as the splits that are converted, split and merged.

Shapes: P pairs.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.writers.formats import AnnotationKind
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.errors import DataError, UsageError, first_few
from splitnest.structures.categories import Categories


class DatasetSplit(ABC):
    """Split of a dataset.

    Attributes:
        name: Name, as in ``train``; None for a dataset without splits.
        images_dir: Image folder.
        file_names: Path of each image in the image folder.
        categories: Classes.
        notes: Kind of annotation that is not read -> cases.
    """

    name: str | None
    images_dir: Path
    file_names: Sequence[str]
    categories: Categories
    notes: Mapping[str, Sequence[str]] = {}  # never changed

    def __len__(self) -> int:
        return len(self.file_names)

    @abstractmethod
    def pairs(self) -> NDArray[np.int64]:
        """Return image index and class index of each instance, or of each class of an image, int64 ``[P, 2]``."""

    @abstractmethod
    def images(self, labels: NDArray[np.int64]) -> Iterator[LabeledImage]:
        """Yield the images with their annotations.

        Args:
            labels: Class index that each class gets.
        """

    @property
    def has_masks(self) -> bool:
        """Whether any annotation has the pixels that it covers."""
        return True


@dataclass(frozen=True)
class Dataset:
    """Annotated dataset.

    Attributes:
        source: File or folder that it was read from.
        format: Name of its format, as ``splitnest data convert --to`` has it; another one for formats without a writer.
        kind: Kind of its annotations.
        splits: Splits, whose classes may differ.
    """

    source: Path
    format: str
    kind: AnnotationKind
    splits: tuple[DatasetSplit, ...]

    @property
    def num_images(self) -> int:
        """Number of images of all splits."""
        return sum(len(split) for split in self.splits)

    @property
    def has_masks(self) -> bool:
        """Whether any annotation has the pixels that it covers."""
        return any(split.has_masks for split in self.splits)


def unified_classes(splits: Sequence[DatasetSplit]) -> Categories:
    """Return the classes of several splits, unified by name, with their keypoints.

    Ids are kept if all splits have the same classes. Otherwise classes are in the order of their first appearance,
    thing classes before stuff classes, with ids from 1.

    Raises:
        DataError: Two splits have different keypoints, or a class is a thing class in one and a stuff class in another.
    """
    first = splits[0].categories
    keypoints = _unified_keypoints(splits)
    pairs = [[(category.id, category.name) for category in split.categories] for split in splits]
    if all(pair == pairs[0] for pair in pairs) and len(set(first.names)) == len(first):
        categories = first
    else:
        known = {category.name: category for split in reversed(splits) for category in reversed(split.categories.items)}
        ordered = dict.fromkeys(category.name for split in splits for category in split.categories)
        items = sorted((known[name] for name in ordered), key=lambda category: not category.is_thing)
        categories = Categories(tuple(replace(item, id=id_) for id_, item in enumerate(items, start=1)))
    is_thing = {category.name: category.is_thing for category in categories}
    for split in splits:
        for category in split.categories:
            if category.is_thing != is_thing[category.name]:
                raise DataError(
                    f"{category.name} is a thing class in one of the datasets or splits, and a stuff class in another. "
                    f"Correct 'isthing' in their panoptic JSON files."
                )
    return replace(
        categories,
        keypoint_names=keypoints.keypoint_names,
        skeleton=keypoints.skeleton,
        flip_indices=keypoints.flip_indices,
    )


def _unified_keypoints(splits: Sequence[DatasetSplit]) -> Categories:
    """Return the classes of the first split with keypoints, or of the first split."""
    with_keypoints = [split for split in splits if split.categories.keypoint_names] or [splits[0]]
    first = with_keypoints[0]
    for split in with_keypoints[1:]:
        if split.categories.keypoint_names != first.categories.keypoint_names:
            names = first_few(split.categories.keypoint_names), first_few(first.categories.keypoint_names)
            raise DataError(
                f"{split.images_dir} has the keypoints {names[0]}, but {first.images_dir} has {names[1]}. "
                f"Rename them to agree."
            )
    return first.categories


def common_kind(datasets: Sequence[Dataset]) -> AnnotationKind:
    """Return the kind of the annotations of several datasets.

    Raises:
        UsageError: The annotations have different kinds.
    """
    first = datasets[0]
    for dataset in datasets[1:]:
        if dataset.kind != first.kind:
            raise UsageError(
                f"{first.source} has {first.kind}, but {dataset.source} has {dataset.kind}. Merge datasets of "
                f"one kind; convert one of them first."
            )
    return first.kind


def labels_in(split: DatasetSplit, categories: Categories) -> NDArray[np.int64]:
    """Return the index of each class of a split among the unified classes."""
    labels = {name: label for label, name in enumerate(categories.names)}
    return np.array([labels[name] for name in split.categories.names], np.int64)


def labeled_images(split: DatasetSplit, categories: Categories) -> Iterator[LabeledImage]:
    """Yield the images of a split, whose labels index given classes."""
    return split.images(labels_in(split, categories))
