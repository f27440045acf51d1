"""Image classification files: a folder for each class, or a list of image names and classes.

Shapes: I images.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitnest.data.images.listing import SUFFIXES, is_hidden, is_image, list_images
from splitnest.data.paths import existing_folder
from splitnest.errors import DataError, cannot_read, first_few
from splitnest.files import open_text
from splitnest.recipe.file_data import normalized_class_name
from splitnest.structures.categories import Categories
from splitnest.structures.class_tables import class_table

CLASS_LIST_COLUMNS = ("image", "class")
"""Columns of a list of classes that splitnest writes."""

IN_EACH_LINE = "Write an image name and a class in each line."

_CLASS_COLUMNS = frozenset(
    ("class", "classes", "class_name", "classname", "class_id", "label", "labels", "label_name", "category", "target")
)


@dataclass(frozen=True)
class ImageList:
    """Image files and their classes.

    Attributes:
        names: Paths of the I images, relative to the image folder.
        labels: Class index of each image; None for images without classes.
        others: Paths of files that are neither images nor annotations.
    """

    names: list[str]
    labels: list[int] | None
    others: tuple[str, ...] = ()


class ClassNames:
    """Look-up of class indices by name; for ImageNet also by WordNet id and by index.

    Args:
        categories: Classes of the model.
    """

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self._exact = {name: label for label, name in enumerate(categories.names)}
        self._normalized = {normalized_class_name(name): label for label, name in enumerate(categories.names)}
        if categories is class_table("imagenet"):
            from splitnest.data.formats.imagenet_ids import IDS

            self._exact |= {id_: label for label, id_ in enumerate(IDS)}
            self._exact |= {str(label): label for label in range(len(IDS))}

    def label(self, text: str) -> int | None:
        """Return the index of a class; None for an unknown class."""
        return self._exact.get(text, self._normalized.get(normalized_class_name(text)))

    def unknown(self, texts: Sequence[str], where: str) -> DataError:
        """Return the error for class names that the model does not have."""
        return DataError(
            f"{where} has {first_few([repr(text) for text in texts])}, which is not a class of the model. Its "
            f"{len(self.categories)} classes are {first_few(self.categories.names)}. Set data.classes to the class "
            f"names of the dataset in label order, or to 'folders' for the names of its folders."
        )


def class_folders(root: Path) -> list[str]:
    """Return the sorted names of the folders in ``root``, one for each class.

    Raises:
        DataError: ``root`` is not a folder.
    """
    entries = os.scandir(existing_folder(root, "images"))
    return sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))


def read_class_folders(root: Path, categories: Categories) -> ImageList:
    """List the images in folders that are named after classes, with their subfolders.

    Args:
        root: Folder of the class folders. If it has images and no folders, they are listed without classes.
        categories: Classes of the model.

    Raises:
        DataError: ``root`` is not a folder, a folder is not named after a class, two folders have the same class, or
            there are no images.
    """
    folders, lookup = class_folders(root), ClassNames(categories)
    if not folders:
        listing = list_images(root, recursive=False)
        return ImageList(_nonempty(listing.names, root), None, tuple(listing.others))
    label_of = {name: lookup.label(name) for name in folders}
    if unknown := [name for name, label in label_of.items() if label is None]:
        raise lookup.unknown(unknown, f"{root}, whose folders are named after classes,")
    names: list[str] = []
    labels: list[int] = []
    others: list[str] = []
    folder_of: dict[int, str] = {}
    for folder, label in label_of.items():
        assert label is not None
        if folder_of.setdefault(label, folder) != folder:
            raise DataError(
                f"{root} has two folders of class {categories[label].name}: {folder_of[label]} and {folder}. "
                f"Merge them."
            )
        listing = list_images(root / folder)
        names += [f"{folder}/{name}" for name in listing.names]
        others += [f"{folder}/{name}" for name in listing.others]
        labels += [label] * len(listing.names)
    return ImageList(_nonempty(names, root), labels, tuple(others))


def read_class_list(folder: Path, file: Path, categories: Categories) -> ImageList:
    """Read a list of image names and classes, such as ImageNet's ``val.txt`` or ``LOC_val_solution.csv``.

    A line has the name of a file in ``folder``, with or without its suffix, and a class: its name, its index, or for
    ImageNet its WordNet id. They are separated by tabs, commas or blanks; further fields are ignored.

    Args:
        folder: Image folder.
        file: List.
        categories: Classes of the model.

    Raises:
        DataError: The folder or the file does not exist, a line cannot be parsed, or an image is missing or listed
            twice.
    """
    present = _images_by_name(existing_folder(folder, "images"))
    lookup = ClassNames(categories)
    labels: dict[str, int] = {}
    for number, line in enumerate(_lines(file), start=1):
        fields = _fields(line)
        name = _image_name(fields[0], folder, present)
        label = _label(fields[1:], lookup)
        if number == 1 and name is None and label is None and len(fields) > 1:
            continue  # column names
        if name is None or label is None:
            raise _line_error(file, number, fields, folder, name, lookup)
        if name in labels:
            raise DataError(f"{file}, line {number}: {name} is listed before. Keep one of the lines.")
        labels[name] = label
    return ImageList(_nonempty(list(labels), file), list(labels.values()))


def is_class_list(file: Path) -> bool:
    """Return whether the second column of a CSV file has classes, by its name."""
    try:
        with open_text(file) as opened:
            fields = _fields(opened.readline(10_000).strip().lower())
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return len(fields) > 1 and fields[1].replace(" ", "_") in _CLASS_COLUMNS


def list_rows(file: Path) -> list[tuple[str, str]]:
    """Return image name and class of each row of a list with column names.

    Raises:
        DataError: The file cannot be read, or a row has only one value.
    """
    rows = [_fields(line) for line in _lines(file)][1:]
    for number, row in enumerate(rows, start=2):
        if len(row) < 2 or not row[1]:
            raise DataError(f"{file}, line {number}, has only {row[0]!r}. {IN_EACH_LINE}")
    return [(row[0].removeprefix("./"), row[1]) for row in rows]


def _line_error(
    file: Path, number: int, fields: Sequence[str], folder: Path, name: str | None, lookup: ClassNames
) -> DataError:
    where = f"{file}, line {number},"
    if len(fields) < 2:
        devkit = " The ILSVRC development kit numbers classes in another order: use val.txt instead."
        hint = devkit if fields[0].isdigit() else ""
        return DataError(f"{where} has only {fields[0]!r}. {IN_EACH_LINE}{hint}")
    if name is None:
        return DataError(f"{where} has {fields[0]}, which is not in {folder}. Add the image, or set its folder.")
    if fields[1].isdigit():
        return DataError(f"{where} has class {fields[1]}, but classes range from 0 to {len(lookup.categories) - 1}.")
    return lookup.unknown(fields[1:2], where)


def _lines(file: Path) -> Iterator[str]:
    try:
        with open_text(file) as opened:
            text = opened.read()
    except OSError as error:
        raise DataError(cannot_read(file, error, "a list of image names and classes")) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text. Give a list of image names and classes.") from error
    return filter(None, map(str.strip, text.splitlines()))


def _fields(line: str) -> list[str]:
    for separator in ("\t", ","):
        if separator in line:
            return [field.strip() for field in next(csv.reader([line], delimiter=separator))]
    return line.split(maxsplit=1)


def _label(fields: Sequence[str], lookup: ClassNames) -> int | None:
    """Return the label of the fields after the image name: the first field, or its first word (Kaggle's list)."""
    if not fields or not fields[0]:
        return None
    label = lookup.label(fields[0])
    if label is None:
        label = lookup.label(fields[0].split()[0])
    if label is None and fields[0].isdigit() and int(fields[0]) < len(lookup.categories):
        return int(fields[0])
    return label


def _image_name(name: str, folder: Path, present: dict[str, str]) -> str | None:
    """Return the name of an existing file for a name with or without suffix, or with another suffix."""
    name = name.removeprefix("./")
    for known in (name, os.path.splitext(name)[0] if is_image(name) else name):
        if known in present:
            return present[known]
    return name if name and (folder / name).is_file() else None


def _images_by_name(folder: Path) -> dict[str, str]:
    """Return the image files of a folder by their names without and with suffix."""
    names = list_images(folder, recursive=False).names
    return {os.path.splitext(name)[0]: name for name in names} | {name: name for name in names}


def _nonempty(names: list[str], source: Path) -> list[str]:
    if not names:
        raise DataError(f"{source} has no images ({', '.join(sorted(SUFFIXES))}). Check the path.")
    return names
