"""Recognition of image classification datasets with CSV files: an image name and a class in each row."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from splitnest.data.formats.image_folders import IN_EACH_LINE, list_rows, read_class_list
from splitnest.data.images.listing import is_image
from splitnest.data.recognition.coco import image_folder
from splitnest.data.recognition.instances import check_classes
from splitnest.data.recognition.recognized import Recognized, SplitContent
from splitnest.data.recognition.tree import Tree, choose_splits, split_of
from splitnest.errors import DataError
from splitnest.structures.categories import from_names


def recognize_class_lists(tree: Tree, paths: Sequence[str]) -> Recognized:
    """Return the dataset of CSV files of image names and classes.

    Raises:
        DataError: A file is not valid, images are not found, the splits have different classes, or several files are of
            one split.
    """
    by_split: dict[str, str] = {}
    for path in paths:
        split = split_of(path) or "all"
        if split in by_split:
            raise DataError(f"{tree.root} has {by_split[split]} and {path} for one split. Give one of the files.")
        by_split[split] = path
    train, val, notes = choose_splits(by_split, "images")
    lists = [(path, *read_list_classes(tree, path)) for path in (train, val) if path is not None]
    classes = lists[0][2]
    data: dict[str, Any] = {"format": "folders"}
    contents: list[SplitContent] = []
    if len(lists) == 2:
        counts = [Counter(row[1] for row in list_rows(tree.root / path)) for path, _, _ in lists]
        check_classes(*counts)
    for split, (path, folder, _) in zip(("train", "val"), lists, strict=False):
        data |= {f"{split}_images": folder or ".", f"{split}_annotations": path}
        images = read_class_list(tree.root / folder, tree.root / path, from_names(classes))
        pairs = np.stack([np.arange(len(images.names)), np.array(images.labels, np.int64)], axis=1)
        sizes = np.zeros((len(images.names), 2), np.int64)
        contents.append(SplitContent(tuple(images.names), pairs, sizes, num_read=len(images.names)))
    return Recognized(
        "images with a list of classes", "classification", tree.root, data, classes, contents[0],
        contents[1] if len(contents) == 2 else None, assumed=tuple(notes),
    )  # fmt: skip


def read_list_classes(tree: Tree, path: str) -> tuple[str, tuple[str, ...]]:
    """Return the image folder of a list, relative to the root, and its classes, sorted by name or by number.

    Raises:
        DataError: The file is not valid, or none of its images is found.
    """
    rows = list_rows(tree.root / path)
    if not rows:
        raise DataError(f"{tree.root / path} has no rows. {IN_EACH_LINE}")
    suffix_of = {PurePosixPath(name).stem: PurePosixPath(name).suffix for name in tree.images}
    names = [name if is_image(name) else name + suffix_of.get(PurePosixPath(name).name, "") for name, _ in rows]
    classes = {name for _, name in rows}
    by_number = all(name.isdecimal() for name in classes)
    ordered = sorted(classes, key=lambda name: (int(name), name) if by_number else (0, name))
    return image_folder(tree, path, names), tuple(ordered)
