"""Reader of Open Images boxes: a CSV file for all images, and a table of class names.

Source: storage.googleapis.com/openimages/web/download_v7.html, section "Data formats".
"""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.categories import names_in
from splitnest.data.formats.collected import CollectedAnnotations
from splitnest.data.formats.shapes import box
from splitnest.data.images.size import size_or_default
from splitnest.data.paths import required_path
from splitnest.errors import DataError, cannot_read
from splitnest.files import open_text
from splitnest.recipe import Split
from splitnest.recipe.data import OpenImagesData
from splitnest.structures.categories import Categories

COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
"""Columns that are required."""

_CLASS_TABLES = ("class-descriptions*.csv", "*class*descriptions*.csv", "metadata/classes.csv", "classes.csv")
"""Names of the table of class names, in the folder of the file or one above."""


def read_part(data: OpenImagesData, split: Split, categories: Categories | None) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a part, its annotations, and their file; None takes the classes of the files."""
    images = required_path(data, f"{split}_images", "the image folder")
    source = required_path(data, f"{split}_annotations", "the annotation file")
    return images, read_open_images(source, images, categories), source


def class_names(parts: Sequence[tuple[OpenImagesData, Split]]) -> tuple[list[str], list[str]]:
    """Return the names in the files of all parts, without notes."""
    return names_in(read_part(part, split, None)[1] for part, split in parts), []


def read_open_images(
    source: str | Path, images_dir: str | Path, categories: Categories | None = None
) -> AnnotationFile:
    """Read the boxes of the images that the folder has.

    Boxes of a group of instances become crowd regions. Classes have the names of ``class-descriptions-boxable.csv``,
    beside the file or one folder above, or otherwise their ids, such as ``/m/011k07``.

    Args:
        source: CSV file with the columns ``ImageID``, ``LabelName``, ``XMin``, ``XMax``, ``YMin`` and ``YMax``.
        images_dir: Folder of the images ``<ImageID>.jpg``.
        categories: Classes of the model; None takes those of the images in the folder, sorted by name.

    Raises:
        DataError: The file cannot be read or has other columns, a row is not valid, or a class is unknown.
    """
    source, images_dir = Path(source), Path(images_dir)
    collected = CollectedAnnotations(source, images_dir, categories)
    image_of = {os.path.splitext(os.path.basename(name))[0]: name for name in collected.images.names}
    names = _class_names(source)
    rows: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, row in _rows(source):
        if (image := image_of.get(row["ImageID"])) is not None:
            rows.setdefault(image, []).append((line, row))
    for image in sorted(rows):
        size_hw = size_or_default(images_dir / image)
        collected.add_image(image, str(source), size_hw)
        for line, row in rows[image]:
            place = f"{source}, line {line}"
            try:
                instance = box(*_corners(row, size_hw))
            except ValueError as error:
                collected.faults.add(f"{place}: {error}. Correct it.")
                continue
            instance["iscrowd"] = int(row.get("IsGroupOf") == "1")
            collected.add(names.get(row["LabelName"], row["LabelName"]), place, instance)
    collected.without_images("image without boxes in the CSV file: not read")
    return collected.file()


def is_open_images(source: Path) -> bool:
    """Return whether a file begins with the columns of Open Images' boxes."""
    try:
        with open_text(source) as file:
            return set(COLUMNS) <= set(file.readline(10_000).strip().split(","))
    except (OSError, UnicodeDecodeError):
        return False


def _rows(source: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line and values of each row."""
    try:
        with open_text(source) as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{source} is not a file of Open Images' boxes: it has no column {missing[0]}.")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise DataError(cannot_read(source, error, "a CSV file of Open Images")) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is not UTF-8 text. Convert it.") from error
    except csv.Error as error:
        raise DataError(f"{source} is not valid CSV ({error}). Correct it.") from error


def _class_names(source: Path) -> dict[str, str]:
    """Return the name of each class id; empty without a table."""
    for folder in (source.parent, source.parent.parent):
        for pattern in _CLASS_TABLES:
            for path in sorted(folder.glob(pattern)):
                try:
                    with open_text(path) as file:
                        rows = [row for row in csv.reader(file) if len(row) >= 2]
                except (OSError, UnicodeDecodeError, csv.Error) as error:
                    raise DataError(f"{path} cannot be read as a table of class names ({error}).") from error
                return {row[0]: row[1] for row in rows}
    return {}


def _corners(row: dict[str, str], size_hw: tuple[int, int]) -> list[float]:
    """Return the corners (x1, y1, x2, y2) of a box in pixels."""
    height, width = size_hw
    corners = []
    for key, side in (("XMin", width), ("YMin", height), ("XMax", width), ("YMax", height)):
        try:
            fraction = float(row[key])
        except ValueError as error:
            raise ValueError(f"{key} is {row[key]!r}, not a number") from error
        if not -0.01 <= fraction <= 1.01:
            raise ValueError(f"{key} is {row[key]}, not a fraction of the image's side from 0 to 1")
        corners.append(fraction * side)
    return corners
