"""Files of a folder that may be a dataset, listed once, and the splits that their names suggest."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeVar

from splitnest.data.images.listing import is_image, walk
from splitnest.errors import DataError, first_few

T = TypeVar("T")

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Part of a name -> split."""

_SPLIT = re.compile(
    r"(?:^|[^a-z])(trainval|training|train|validation|valid|val|dev|testing|test)"
    r"(?=annot|label|mask|image|img|[^a-z]|$)"
)

_RUN_FILES = frozenset({"environment.txt", "init_from.txt"})
"""Files of a run folder, which is no dataset."""


@dataclass(frozen=True)
class Tree:
    """Visible files below a folder.

    Attributes:
        root: The folder.
        files: Paths relative to the folder, in the order of ``walk``.
    """

    root: Path
    files: tuple[str, ...]

    @cached_property
    def images(self) -> list[str]:
        """Image files."""
        return [name for name in self.files if is_image(name)]

    @cached_property
    def image_folders(self) -> dict[str, list[str]]:
        """Folder, relative to the root -> its images, without those of subfolders; the root is an empty string."""
        folders: dict[str, list[str]] = {}
        for name in self.images:
            folders.setdefault(os.path.dirname(name), []).append(name)
        return folders

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Return the files with one of some suffixes, in lower case."""
        return [name for name in self.files if os.path.splitext(name)[1].lower() in suffixes]

    def named(self, *names: str) -> list[str]:
        """Return the files with one of some file names."""
        return [name for name in self.files if os.path.basename(name) in names]

    def describe(self) -> str:
        """Return the kinds of files and their number, for messages."""
        if not self.files:
            return "no files"
        counts: dict[str, int] = {}
        for name in self.files:
            kind = "images" if is_image(name) else os.path.splitext(name)[1].lower() or "without suffix"
            counts[kind] = counts.get(kind, 0) + 1
        common = sorted(counts.items(), key=lambda pair: -pair[1])
        return first_few([f"{count} {kind}{'' if kind == 'images' else ' files'}" for kind, count in common])


def list_tree(root: Path) -> Tree:
    """List a folder.

    Raises:
        DataError: The folder cannot be read, or is a run folder.
    """
    try:
        files = tuple(name for name, is_file in walk(root) if is_file)
    except OSError as error:
        raise DataError(f"{root} cannot be listed: {error.strerror}. Check the path and its permissions.") from error
    if frozenset(files) >= _RUN_FILES:
        raise DataError(f"{root} is a run folder, not a dataset. Give the folder of the dataset.")
    return Tree(root, files)


def split_of(path: str) -> str | None:
    """Return the split that a path suggests, ``train``, ``val`` or ``test``; the last part that suggests one counts."""
    for part in reversed(PurePosixPath(path).parts):
        found = _SPLIT.findall(part.lower())
        if found:
            return SPLIT_NAMES[found[-1]]
    return None


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return at most a number of items, evenly spread over all."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def common_folder(paths: Iterable[str]) -> str:
    """Return the folder that contains all paths; an empty string for the root."""
    folders = {os.path.dirname(path) for path in paths}
    return os.path.commonpath(folders) if folders and "" not in folders else ""


def choose_splits(found: dict[str, T], what: str) -> tuple[T, T | None, list[str]]:
    """Return the training split, the validation split or None, and what was assumed.

    Args:
        found: Parts by split name; other names count as training images.
        what: Name of a part in messages.
    """
    notes: list[str] = []
    train, val = found.get("train"), found.get("val")
    if train is None:
        others = {name: part for name, part in found.items() if name not in ("val", "test")}
        name = next(iter(others), None) or next(iter(found))
        train = found[name]
        if name in ("val", "test"):
            val = None
            notes.append(f"there is only a {name} split: its {what} are used for training")
    if val is None and "test" in found and found["test"] is not train:
        val = found["test"]
        notes.append("there is no validation split: the test split is used for validation")
    return train, val, notes
