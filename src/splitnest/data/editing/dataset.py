"""Dataset of any format, as the splits that are converted, split and merged.

Shapes: N annotations, K keypoints.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.writers.labeled_image import LabeledImage, images_of_file
from splitnest.errors import DataError, first_few
from splitnest.structures.categories import Categories, from_ids, from_names


@dataclass(frozen=True)
class DatasetSplit:
    """Split of a dataset.

    Attributes:
        name: Name, as in ``train``; None for a dataset without splits.
        file: Annotations.
        images_dir: Image folder.
        keypoints: float64 ``[N, K, 3]``: x and y in pixels, and visibility; None without keypoints.
        keypoint_names: Names of the K keypoints.
        skeleton: Pairs of keypoint indices, from 0.
    """

    name: str | None
    file: AnnotationFile
    images_dir: Path
    keypoints: NDArray[np.float64] | None = None
    keypoint_names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Annotated dataset.

    Attributes:
        source: File or folder that it was read from.
        format: Name of its format, as ``splitnest data convert --to`` has it; another one for formats without a writer.
        splits: Splits, whose classes may differ.
    """

    source: Path
    format: str
    splits: tuple[DatasetSplit, ...]

    @property
    def num_images(self) -> int:
        """Number of images of all splits."""
        return sum(len(split.file.file_names) for split in self.splits)


def unified_classes(splits: Sequence[DatasetSplit]) -> Categories:
    """Return the classes of several splits, unified by name, with their keypoints.

    Ids are kept if all splits have the same classes. Otherwise classes are in the order of their first appearance, with
    ids from 1.

    Raises:
        DataError: Two splits have different keypoints.
    """
    pairs = [split.file.categories for split in splits]
    if all(pair == pairs[0] for pair in pairs) and len({name for _, name in pairs[0]}) == len(pairs[0]):
        categories = from_ids(pairs[0])
    else:
        categories = from_names(dict.fromkeys(name for pair in pairs for _, name in pair))
    with_keypoints = [split for split in splits if split.keypoint_names]
    for split in with_keypoints[1:]:
        if split.keypoint_names != with_keypoints[0].keypoint_names:
            names = first_few(split.keypoint_names), first_few(with_keypoints[0].keypoint_names)
            raise DataError(
                f"{split.images_dir} has the keypoints {names[0]}, but {with_keypoints[0].images_dir} has {names[1]}. "
                f"Rename them to agree."
            )
    if not with_keypoints:
        return categories
    first = with_keypoints[0]
    return replace(categories, keypoint_names=first.keypoint_names, skeleton=first.skeleton)


def labeled_images(split: DatasetSplit, categories: Categories) -> Iterator[LabeledImage]:
    """Yield the images of a split, whose labels index given classes."""
    labels = {name: label for label, name in enumerate(categories.names)}
    label_of = [labels[name] for _, name in split.file.categories]
    for image in images_of_file(split.file, split.images_dir, split.keypoints):
        instances = (replace(instance, label=label_of[instance.label]) for instance in image.instances)
        yield replace(image, instances=tuple(instances))
