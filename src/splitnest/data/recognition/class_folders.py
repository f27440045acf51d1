"""Recognition of image classification datasets: a folder for each class, with or without folders of splits."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from splitnest.data.recognition.instances import check_classes
from splitnest.data.recognition.recognized import Recognized, SplitContent
from splitnest.data.recognition.tree import SPLIT_NAMES, Tree, choose_splits
from splitnest.errors import DataError, first_few
from splitnest.recipe.file_data import normalized_class_name

_NOT_CLASSES = frozenset({"images", "image", "imgs", "img", "jpegimages", "labels", "masks", "annotations"})


def find_class_folders(tree: Tree) -> dict[str, list[str]]:
    """Return split -> images, relative to the root, of folders of classes; ``all`` for a dataset without splits.

    The folder of a split, or the root, has two or more folders with images and no images of its own.
    """
    by_split: dict[str, list[str]] = {}
    inner = _inner(tree)
    for name in tree.images:
        parts = PurePosixPath(name[len(inner) :]).parts
        split = SPLIT_NAMES.get(parts[0].lower()) if len(parts) > 1 else None
        by_split.setdefault(inner + parts[0] if split else "", []).append(name)
    if len(by_split) > 1 and "" in by_split:
        return {}
    found: dict[str, list[str]] = {}
    for folder, names in by_split.items():
        start = f"{folder}/" if folder else inner
        classes = [PurePosixPath(name[len(start) :]).parts[0] for name in names if "/" in name[len(start) :]]
        if len(classes) < len(names) or {name.lower() for name in classes} & _NOT_CLASSES:
            return {}
        found[SPLIT_NAMES.get(PurePosixPath(folder).name.lower(), "all") if folder else "all"] = names
    most = max((len(_classes(tree, names, split, inner)) for split, names in found.items()), default=0)
    return found if most >= 2 else {}


def recognize_class_folders(tree: Tree, found: dict[str, list[str]]) -> Recognized:
    """Return the dataset of folders of classes.

    Raises:
        DataError: The splits have different classes, or a split is empty.
    """
    inner = _inner(tree)
    for split, entry in empty_split_folders(tree, found).items():
        raise DataError(
            f"The {'training' if split == 'train' else 'validation'} split is empty: {entry} has no images. Add some, "
            f"or remove the folder, so that a part of the other images is taken."
        )
    train, val, notes = choose_splits({split: (split, names) for split, names in found.items()}, "images")
    class_of = {split: _classes(tree, names, split, inner) for split, names in found.items()}
    classes = tuple(sorted(class_of[train[0]]))
    if val is not None:
        counts = [Counter({n: len(images) for n, images in class_of[s].items()}) for s in (train[0], val[0])]
        _check_spelling(counts[0], counts[1])
        check_classes(counts[0], counts[1])
        if missing := [name for name in classes if name not in class_of[val[0]]]:
            notes.append(f"validation has no images of {first_few(missing)}")
    data: dict[str, Any] = {"format": "folders"}
    contents: list[SplitContent] = []
    for split, part in (("train", train), ("val", val)):
        if part is not None:
            folder = _folder(part[1], part[0], inner)
            data[f"{split}_images"] = folder or "."
            start = f"{folder}/" if folder else ""
            names = [name[len(start) :] for name in part[1]]
            labels = [classes.index(PurePosixPath(name).parts[0]) for name in names]
            pairs = np.stack([np.arange(len(names)), np.array(labels)], axis=1)
            sizes = np.zeros((len(names), 2), np.int64)
            contents.append(SplitContent(tuple(names), pairs, sizes, num_read=len(names)))
    value = "folders"
    return Recognized(
        "image folders by class", "classification", tree.root, data, classes, contents[0],
        contents[1] if len(contents) == 2 else None, value, assumed=tuple(notes),
    )  # fmt: skip


def _inner(tree: Tree) -> str:
    """Return the folder that all images are in where the root has nothing else, as archives unpack; with a slash."""
    inner = ""
    while True:
        tops = {name[len(inner) :].split("/")[0] for name in tree.images}
        top = next(iter(tops), "")
        is_split = top.lower() in SPLIT_NAMES
        if len(tops) != 1 or is_split or not all(name.startswith(f"{inner}{top}/") for name in tree.images):
            return inner
        below = {name[len(inner) + len(top) + 1 :].count("/") for name in tree.images}
        if 0 in below:
            return inner
        inner = f"{inner}{top}/"


def class_folder_root(tree: Tree, names: Sequence[str], split: str) -> str:
    """Return the folder, relative to the root, of the class folders of a split; see ``find_class_folders``."""
    return _folder(names, split, _inner(tree))


def _folder(names: Sequence[str], split: str, inner: str) -> str:
    """Return the folder of the class folders of a split."""
    if split == "all":
        return inner.rstrip("/")
    return inner + names[0][len(inner) :].split("/")[0]


def _classes(tree: Tree, names: Sequence[str], split: str, inner: str) -> dict[str, list[str]]:
    folder = _folder(names, split, inner)
    start = len(folder) + 1 if folder else 0
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name[start:].split("/")[0], []).append(name)
    return found


def empty_split_folders(tree: Tree, found: dict[str, list[str]]) -> dict[str, Path]:
    """Return the folders of the training and validation split that have no images."""
    folders = {
        SPLIT_NAMES.get(entry.name.lower()): entry for entry in (tree.root / _inner(tree)).iterdir() if entry.is_dir()
    }
    return {split: folders[split] for split in ("train", "val") if split in folders and split not in found}


def _check_spelling(train: Counter[str], val: Counter[str]) -> None:
    """Raise a DataError if folders of the splits differ in the spelling of a class only."""
    known = {normalized_class_name(name): name for name in train}
    for name in val:
        other = known.get(normalized_class_name(name))
        if name not in train and other is not None:
            raise DataError(
                f"The splits have different classes: the folder is {other!r} in training and {name!r} in validation. "
                f"Write the same name in both."
            )
