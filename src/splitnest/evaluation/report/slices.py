"""Slices: named parts of a dataset, whose metrics a report shows."""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePath

from splitnest.data.dataset import ImageDataset
from splitnest.errors import DataError, cannot_read, first_few, printable
from splitnest.files import open_text
from splitnest.metrics.report.analysis import ALL_IMAGES

IMAGE_COLUMNS = ("file_name", "image", "file")
"""Names of the column of the images."""

MEMBERSHIP = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
"""Value of a column that says whether an image is in the slice of that name."""

MAX_SLICES = 200
"""Maximum number of slices of a file."""


def read_slices(path: Path, dataset: ImageDataset) -> dict[str, list[int]]:
    """Read slices from a CSV file with a column of image names and further columns.

    A column of 0 and 1 (or true and false, yes and no) is one slice with its name. Any other column is a slice for each
    of its values, named ``column: value``; images with an empty value are in none of them.

    Args:
        path: CSV file whose first row has the names of the columns.
        dataset: Images, which are known by their names, or by their file names if those are unique.

    Returns:
        Name -> ids of images, in the order of the columns.

    Raises:
        DataError: The file cannot be read, has no column of images or no other one, or an image that is not in the
            dataset.
    """
    header, rows = _read(path)
    image_column = next((name for name in IMAGE_COLUMNS if name in header), None)
    if image_column is None:
        raise DataError(
            f"{path} has the columns {first_few(header) or 'none'}. Name the column of the images file_name or image."
        )
    others = [name for name in header if name != image_column]
    if not others:
        raise DataError(f"{path} has no column beside {image_column}. Add a column for each slice, with 1 and 0.")
    ids = _image_ids(dataset)
    slices: dict[str, dict[int, None]] = {}
    is_membership = {name: all(row[name].strip().lower() in MEMBERSHIP for _, row in rows) for name in others}
    for line, row in rows:
        name = row[image_column].strip()
        image_id = ids.get(name)
        if image_id is None:
            raise DataError(
                f"{path}, line {line}: the image {printable(name)!r} is not in {dataset.source}. Images are called "
                f"like {printable(dataset.name(0)) if len(dataset) else 'nothing'!r} there."
            )
        for column in others:
            value = row[column].strip()
            if is_membership[column]:
                _add(slices, column, image_id, MEMBERSHIP[value.lower()])
            elif value:
                _add(slices, f"{column}: {value}", image_id, True)
    if len(slices) > MAX_SLICES:
        raise DataError(
            f"{path} has {len(slices)} slices, more than {MAX_SLICES}. Leave out columns with a value for each image."
        )
    return {name: list(members) for name, members in slices.items()}


def _add(slices: dict[str, dict[int, None]], name: str, image_id: int, belongs: bool) -> None:
    """Add an image to a slice once, or only make the slice."""
    members = slices.setdefault(f"{name} (slice)" if name == ALL_IMAGES else name, {})
    if belongs:
        members[image_id] = None


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the names of the columns, and the number of the line and the cells of each row."""
    try:
        with open_text(path) as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            rows = list(_rows(path, reader, header))
    except (OSError, ValueError) as error:
        raise DataError(cannot_read(path, error, "a CSV file of slices")) from error
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV file: {error}. Save it as comma-separated values.") from error
    return header, rows


def _rows(path: Path, reader: "Iterator[list[str]]", header: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for number, cells in enumerate(reader, 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise DataError(f"{path}, line {number} has {len(cells)} cells, but there are {len(header)} columns.")
        yield number, dict(zip(header, cells, strict=True))


def _image_ids(dataset: ImageDataset) -> dict[str, int]:
    """Return the id of each image by its name and, where it is unique, by its file name."""
    ids = {dataset.name(index): dataset.image_id(index) for index in range(len(dataset))}
    by_file: dict[str, int | None] = {}
    for name, image_id in ids.items():
        file = PurePath(name).name
        by_file[file] = None if file in by_file else image_id
    return {file: image_id for file, image_id in by_file.items() if image_id is not None} | ids
