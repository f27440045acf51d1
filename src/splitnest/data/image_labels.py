"""Photographs with one class each: a folder for each class, or a folder of photographs and a list of their classes."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories, named
from splitnest.data.images import SUFFIXES, read_image
from splitnest.data.label_maps import existing_folder
from splitnest.errors import DataError, first_few
from splitnest.recipe.data import plain_class


class LabelledImages:
    """What a classifier is trained and evaluated on.

    Names are held as an array of bytes, so that worker processes share the memory of a million of them.

    Args:
        folder: Of the photographs.
        names: Of each photograph, relative to ``folder``.
        labels: The class of each photograph, index into ``categories``; None for photographs alone.
        categories: Index -> class.
        source: Where classes are from, for messages; None for ``folder``.

    Attributes:
        categories, source: As given.
        labels: int64 ``[I]``; empty for photographs alone.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        labels: Sequence[int] | None,
        categories: Categories,
        source: Path | None = None,
    ) -> None:
        self.folder, self.categories, self.source = folder, categories, str(source or folder)
        self.has_annotations = labels is not None
        self.labels: NDArray[np.int64] = np.array([] if labels is None else labels, np.int64)
        self._names = np.array([os.fsencode(name) for name in names], np.bytes_)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Return what a photograph is called in messages and results: its path in the folder."""
        return os.fsdecode(bytes(self._names[index]))

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read the pixels of one photograph, uint8 RGB ``[H, W, 3]``.

        Raises:
            DataError: It cannot be read.
        """
        return read_image(self.folder / self.name(index))

    def image_id(self, index: int) -> int:
        """Return the number of a photograph: its index."""
        return index

    @cached_property
    def problems(self) -> list[str]:
        """What is odd, one line each: classes without a photograph."""
        if not self.has_annotations:
            return []
        counts = np.bincount(self.labels, minlength=len(self.categories))
        without = [self.categories[label].name for label in np.flatnonzero(counts == 0).tolist()]
        if not without:
            return []
        return [f"{self.source} has no photograph of {len(without)} of the {len(counts)} classes: {first_few(without)}"]


class ClassNames:
    """Tells the class that a folder or a list means: by its name, and for ImageNet also by WordNet id or by index.

    Args:
        categories: Classes of the model.
    """

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self._exact = {name: label for label, name in enumerate(categories.names)}
        self._plain = {plain_class(name): label for label, name in enumerate(categories.names)}
        if categories is named("imagenet"):
            from splitnest.data.imagenet_ids import IDS

            self._exact |= {id_: label for label, id_ in enumerate(IDS)}
            self._exact |= {str(label): label for label in range(len(IDS))}

    def label(self, text: str) -> int | None:
        """Return the index of a class, None for what is none."""
        return self._exact.get(text, self._plain.get(plain_class(text)))

    def unknown(self, texts: Sequence[str], where: str) -> DataError:
        """Return an error that says which names are no classes of the model, and what classes there are."""
        return DataError(
            f"{where} has {first_few([repr(text) for text in texts])}, which is no class of the model; it has "
            f"{len(self.categories)}: {first_few(self.categories.names)}. Set data.classes to the names of the data's "
            f"classes in order, or to 'folders' to take those of the folders."
        )


def class_folders(root: Path) -> list[str]:
    """Return the names of the folders in ``root``, sorted: each is of a class.

    Raises:
        DataError: ``root`` is no folder.
    """
    return sorted(
        entry.name for entry in os.scandir(existing_folder(root, "photographs")) if entry.is_dir() and _is_shown(entry)
    )


def read_class_folders(root: Path, categories: Categories) -> LabelledImages:
    """Find the photographs in folders that are named after classes, at any depth below them.

    Args:
        root: Holds the folders. Where it holds photographs and no folders, they are taken without classes.
        categories: Classes of the model.

    Raises:
        DataError: ``root`` is no folder, a folder is of no class, two are of one, or there is no photograph.
    """
    folders, of = class_folders(root), ClassNames(categories)
    found = {name: of.label(name) for name in folders}
    if unknown := [name for name, label in found.items() if label is None]:
        raise of.unknown(unknown, f"{root}, whose folders are named after classes,")
    names: list[str] = []
    labels: list[int] = []
    first: dict[int, str] = {}
    for folder, label in found.items():
        assert label is not None
        if first.setdefault(label, folder) != folder:
            raise DataError(
                f"{root} has two folders of {categories[label].name}: {first[label]} and {folder}. Put them together."
            )
        inside = [f"{folder}/{name}" for name in _photographs(root / folder)]
        names += inside
        labels += [label] * len(inside)
    if not folders:
        names = [entry.name for entry in os.scandir(root) if _is_photograph(entry.name) and entry.is_file()]
        return LabelledImages(root, _some(sorted(names), root), None, categories)
    return LabelledImages(root, _some(names, root), labels, categories)


def read_class_list(folder: Path, file: Path, categories: Categories) -> LabelledImages:
    """Read a list of photographs and their classes, such as ImageNet's ``val.txt`` or ``LOC_val_solution.csv``.

    A line holds the name of a file in ``folder``, whose suffix may be left out, and its class: name, index from 0, or
    of ImageNet the WordNet id. Tabs, commas or spaces are between them; what follows is not read.

    Args:
        folder: Of the photographs.
        file: The list.
        categories: Classes of the model.

    Raises:
        DataError: There is no such folder or file, a line is not understood, or a photograph is missing or named twice.
    """
    there = _by_name(existing_folder(folder, "photographs"))
    of = ClassNames(categories)
    labels: dict[str, int] = {}
    for number, line in enumerate(_lines(file), start=1):
        fields = _fields(line)
        name = _found(fields[0], folder, there)
        label = _class_of(fields[1:], of)
        if number == 1 and name is None and label is None and len(fields) > 1:
            continue  # the names of columns
        if name is None or label is None:
            raise _not_understood(file, number, fields, folder, name, of)
        if name in labels:
            raise DataError(f"{file}, line {number}, has {name} again. Keep one line of it.")
        labels[name] = label
    return LabelledImages(folder, _some(list(labels), file), list(labels.values()), categories, file)


def _not_understood(
    file: Path, number: int, fields: Sequence[str], folder: Path, name: str | None, of: ClassNames
) -> DataError:
    where = f"{file}, line {number},"
    if len(fields) < 2:
        kit = " The numbers of ImageNet's development kit have another order than the classes: give val.txt, say."
        more = kit if fields[0].isdigit() else ""
        return DataError(f"{where} holds {fields[0]!r} alone, but should hold a file and its class.{more}")
    if name is None:
        return DataError(f"{where} names {fields[0]}, which is not in {folder}. Add the file, or give its folder.")
    if fields[1].isdigit():
        return DataError(f"{where} has class {fields[1]}, but classes are from 0 to {len(of.categories) - 1}.")
    return of.unknown(fields[1:2], where)


def _lines(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}. Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text. Give a list of files and classes.") from error
    return filter(None, map(str.strip, text.splitlines()))


def _fields(line: str) -> list[str]:
    for separator in ("\t", ","):
        if separator in line:
            return [field.strip() for field in line.split(separator)]
    return line.split(maxsplit=1)


def _class_of(fields: Sequence[str], of: ClassNames) -> int | None:
    """Return the class of the fields behind a name: the first, or its first word before the boxes of Kaggle's list."""
    if not fields or not fields[0]:
        return None
    label = of.label(fields[0])
    if label is None:
        label = of.label(fields[0].split()[0])
    if label is None and fields[0].isdigit() and int(fields[0]) < len(of.categories):
        return int(fields[0])
    return label


def _found(name: str, folder: Path, there: dict[str, str]) -> str | None:
    """Return what a file is called that is there: with its suffix, or with another one."""
    name = name.removeprefix("./")
    for known in (name, os.path.splitext(name)[0] if _is_photograph(name) else name):
        if known in there:
            return there[known]
    return name if name and (folder / name).is_file() else None


def _by_name(folder: Path) -> dict[str, str]:
    """Return the photographs in a folder by name, without its suffix and with it."""
    names = sorted(entry.name for entry in os.scandir(folder) if _is_photograph(entry.name))
    return {os.path.splitext(name)[0]: name for name in names} | {name: name for name in names}


def _photographs(folder: Path) -> Iterator[str]:
    """Yield the photographs in a folder and below it, sorted."""
    for path, folders, files in os.walk(folder):
        folders.sort()
        below = os.path.relpath(path, folder)
        for name in sorted(filter(_is_photograph, files)):
            yield name if below == "." else f"{below}/{name}"


def _is_photograph(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def _is_shown(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".")


def _some(names: list[str], source: Path) -> list[str]:
    if not names:
        raise DataError(f"{source} has no photographs ({', '.join(sorted(SUFFIXES))}). Check the path.")
    return names
