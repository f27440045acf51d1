"""Stratified split of a dataset, the same for the same images on every machine."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from splitnest.data.editing.convert import Written, write
from splitnest.data.editing.dataset import Dataset, labeled_images, labels_in, unified_classes
from splitnest.data.stratified_split import stratified_split
from splitnest.data.writers.formats import check_kind
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.errors import DataError, UsageError, cannot_read, first_few
from splitnest.files import open_text, plain_name

FILE_COLUMNS = ("file", "image", "filename", "file_name", "name", "path")
"""Names of the column with the images in a CSV file of groups."""


def split(
    dataset: Dataset,
    out: Path,
    format: str,
    fractions: Mapping[str, float],
    *,
    groups: Sequence[str] | None = None,
    links: bool = False,
) -> Written:
    """Write a dataset with other splits; splits that it has are pooled.

    Args:
        dataset: Dataset.
        out, format, links: Same as for ``convert``.
        fractions: Name of each split -> fraction of the images; they add up to 1.
        groups: Group of each image, in the order of the splits; images of one group stay together.

    Raises:
        UsageError, DataError, OutputError: Same conditions as for ``convert``; or a split gets no images.
    """
    check_kind(format, dataset.kind, dataset.source, dataset.has_masks)
    categories = unified_classes(dataset.splits)
    names = image_names(dataset)
    pairs = []
    first = 0
    for part in dataset.splits:
        labels, of_part = labels_in(part, categories), part.pairs()
        pairs.append(np.column_stack([of_part[:, 0] + first, labels[of_part[:, 1]]]))
        first += len(part)
    chosen = stratified_split(names, np.concatenate(pairs), list(fractions.values()), groups)
    for number, name in enumerate(fractions):
        if not (chosen == number).any():
            of_groups, option = ("", "") if groups is None else (" in groups", " or --group-by")
            raise DataError(
                f"{dataset.source} has {len(names)} images{of_groups}, so the split {name} gets none. Change "
                f"--fractions{option}."
            )

    def images() -> Iterator[tuple[str | None, LabeledImage]]:
        for number, name in enumerate(fractions):
            position = 0
            for part in dataset.splits:
                for image in labeled_images(part, categories):
                    if chosen[position] == number:
                        yield name, image if len(dataset.splits) == 1 else replace(image, id=None)
                    position += 1

    return write(images(), len(names), categories, out, format, links=links)


def image_names(dataset: Dataset) -> list[str]:
    """Return the path of each image in its folder, in the order of the splits."""
    return [name for part in dataset.splits for name in part.file_names]


def groups_by_folder(names: Sequence[str]) -> list[str]:
    """Return the folder of each image as its group."""
    return [str(PurePosixPath(name).parent) for name in names]


def groups_by_column(names: Sequence[str], path: Path, column: str) -> list[str]:
    """Return the group of each image, the value in a column of a CSV file.

    Args:
        names: Path of each image in its folder; the file has the path or the file name in a column of
            ``FILE_COLUMNS``, or in its first column.
        path: CSV file with a line of column names.
        column: Name of the column of the groups.

    Raises:
        DataError: The file cannot be read, has no such column, or lacks an image.
    """
    try:
        with open_text(path) as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error if isinstance(error, OSError) else ValueError(str(error))
        raise DataError(cannot_read(path, reason, "a CSV file of groups")) from error
    columns = list(rows[0]) if rows else []
    if column not in columns:
        raise DataError(f"{path} has no column {column!r}, but {first_few(columns) or 'no rows'}. Name one of them.")
    key = next((name for name in FILE_COLUMNS if name in columns), columns[0])
    group_of = {str(row[key]): str(row[column]) for row in rows}
    missing = [name for name in names if name not in group_of and PurePosixPath(name).name not in group_of]
    if missing:
        raise DataError(f"{path} has no row of {first_few(missing)}. Add the images under {key!r}.")
    return [group_of.get(name, group_of.get(PurePosixPath(name).name, "")) for name in names]


def parse_fractions(text: str, names: str | None = None) -> dict[str, float]:
    """Return the fraction of each split.

    Args:
        text: Fractions with commas, as in ``0.8,0.2`` or ``80,20``.
        names: Names of the splits with commas; None is train and val, or train, val and test.

    Raises:
        UsageError: The fractions are not positive numbers that add up to 1 (or 100), or names are missing.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--fractions is {text!r}. Give numbers with commas, as in 0.8,0.2.") from error
    total = sum(values)
    if not all(0 < value < float("inf") for value in values) or min(abs(total - 1), abs(total - 100) / 100) > 1e-6:
        raise UsageError(f"--fractions is {text!r}. Give positive numbers that add up to 1, as in 0.8,0.2.")
    splits = ["train", "val", "test"] if names is None else [name.strip() for name in names.split(",")]
    for name in splits:
        try:
            plain_name(name)
        except ValueError as error:
            raise UsageError(f"The split name {name!r} {error}. Give names such as train,val with --names.") from error
    if len(set(splits)) < len(splits) or len(values) > len(splits) or (names is not None and len(values) < len(splits)):
        raise UsageError(f"--fractions has {len(values)} splits. Give as many different --names, as in train,val,test.")
    return {name: value / total for name, value in zip(splits, values, strict=False)}
