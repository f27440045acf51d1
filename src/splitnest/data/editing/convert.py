"""Conversion of a dataset to another format, and merging of several."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from splitnest.data.editing.dataset import Dataset, common_kind, labeled_images, unified_classes
from splitnest.data.writers.dataset_writer import new_folder
from splitnest.data.writers.formats import EDITED_FORMATS, check_kind
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.progress import track
from splitnest.structures.categories import Categories


@dataclass(frozen=True)
class Written:
    """Summary of a dataset that was written.

    Attributes:
        num_images: Split -> number of images.
        num_instances: Number of instances, or images with a class, in all splits.
        categories: Classes.
        notes: Kinds of annotations that the format cannot hold, and renamed images, one line each.
    """

    num_images: dict[str | None, int]
    num_instances: int
    categories: Categories
    notes: tuple[str, ...]


def convert(dataset: Dataset, out: Path, format: str, *, links: bool = False) -> Written:
    """Write a dataset in a format, with its splits.

    Args:
        dataset: Dataset.
        out: Folder that does not exist or is empty.
        format: Name of the format, one of ``EDITED_FORMATS``.
        links: Whether to link the images instead of copying them.

    Raises:
        UsageError: The folder is not empty, or the format has no place for the annotations.
        DataError: An image is missing or has another size than its annotations, or the format cannot hold a name.
        OutputError: A file cannot be written.
    """
    check_kind(format, dataset.kind, dataset.source, dataset.has_masks)
    categories = unified_classes(dataset.splits)
    images = ((split.name, image) for split in dataset.splits for image in labeled_images(split, categories))
    return write(images, dataset.num_images, categories, out, format, links=links)


def merge(datasets: Sequence[Dataset], out: Path, format: str, *, links: bool = False) -> Written:
    """Write several datasets as one: classes are unified by name, images of one name are numbered, ids are new.

    Splits of one name become one. A dataset without splits belongs to ``train`` if another one has splits.

    Args:
        datasets: Datasets.
        out, format, links: Same as for ``convert``.

    Raises:
        UsageError, DataError, OutputError: Same conditions as for ``convert``; or kinds of annotations differ, or
            keypoints.
    """
    has_masks = any(dataset.has_masks for dataset in datasets)
    check_kind(format, common_kind(datasets), datasets[0].source, has_masks)
    splits = [split for dataset in datasets for split in dataset.splits]
    unsplit = None if all(split.name is None for split in splits) else "train"
    categories = unified_classes(splits)

    def images() -> Iterator[tuple[str | None, LabeledImage]]:
        for name in dict.fromkeys(split.name or unsplit for split in splits):
            for split in splits:
                if (split.name or unsplit) == name:
                    yield from ((name, replace(image, id=None)) for image in labeled_images(split, categories))

    return write(images(), sum(d.num_images for d in datasets), categories, out, format, links=links)


def write(
    images: Iterable[tuple[str | None, LabeledImage]],
    count: int,
    categories: Categories,
    out: Path,
    format: str,
    *,
    links: bool = False,
) -> Written:
    """Write images, each with the name of its split, as a dataset; see ``convert``.

    Args:
        images: Split and image.
        count: Number of images.
        categories: Classes that the labels index.
        out, format, links: Same as for ``convert``.

    Raises:
        UsageError, DataError, OutputError: Same conditions as for ``convert``.
    """
    num_images: dict[str | None, int] = {}
    num_instances = 0
    files = ImageFiles(links)
    with new_folder(out) as folder:
        writer = EDITED_FORMATS[format](folder, categories, files)
        for split, image in track(images, count, "writing"):
            writer.add(image, split)
            num_images[split] = num_images.get(split, 0) + 1
            num_instances += len(image.instances) + (image.label is not None)
        files.faults.raise_any()
        writer.finish()
    notes = writer.describe_notes()
    if files.num_renamed:
        notes.append(
            f"image with another name than before, as names have to differ and to be plain ({files.num_renamed})"
        )
    return Written(num_images, num_instances, categories, tuple(notes))
