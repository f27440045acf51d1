"""Recognition of images with one class each, by CSV files of image names and classes, or by Label Studio's choices."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from splitnest.data.formats.image_folders import IN_EACH_LINE, list_rows, read_class_list
from splitnest.data.formats.label_studio_choices import read_choices
from splitnest.data.images.listing import is_image
from splitnest.data.recognition.coco import image_folder
from splitnest.data.recognition.instances import check_classes
from splitnest.data.recognition.recognized import Recognized, SplitContent
from splitnest.data.recognition.tools import images_beside
from splitnest.data.recognition.tree import Tree, choose_splits, split_of
from splitnest.errors import DataError
from splitnest.structures.categories import from_names


@dataclass(frozen=True)
class ClassList:
    """Images of a file, and their classes.

    Attributes:
        path: The file, relative to the root.
        folder: Image folder, relative to the root.
        names: Path of each image in the folder.
        classes: Class name of each image.
    """

    path: str
    folder: str
    names: Sequence[str]
    classes: Sequence[str]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Different class names, sorted by name or by number."""
        distinct = set(self.classes)
        by_number = all(name.isdecimal() for name in distinct)
        return tuple(sorted(distinct, key=lambda name: (int(name), name) if by_number else (0, name)))


def read_csv_lists(tree: Tree, paths: Sequence[str]) -> list[ClassList]:
    """Return the images and classes of CSV files.

    Raises:
        DataError: A file is not valid, or none of its images is found.
    """
    return [_read_csv(tree, path) for path in paths]


def read_choice_lists(tree: Tree, paths: Sequence[str]) -> list[ClassList]:
    """Return the images and choices of exports of Label Studio; an empty list if regions are labeled, or no images.

    Raises:
        DataError: A file is not valid, or an image has several choices.
    """
    found = []
    for path in paths:
        folder = images_beside(tree, path)
        choices = read_choices(tree.root / path, tree.root / folder)
        if choices.num_regions or not choices.names:
            return []
        found.append(ClassList(path, folder, choices.names, choices.classes))
    return found


def recognize_class_lists(tree: Tree, title: str, format: str, lists: Sequence[ClassList]) -> Recognized:
    """Return the dataset of files that give images their classes.

    Args:
        tree: Files of the dataset.
        title: Name of the format for people.
        format: Value of ``data.format``.
        lists: Images and classes of each file.

    Raises:
        DataError: The splits have different classes, or several files are of one split.
    """
    by_split: dict[str, ClassList] = {}
    for each in lists:
        split = split_of(each.path) or "all"
        if split in by_split:
            raise DataError(
                f"{tree.root} has {by_split[split].path} and {each.path} for one split. Give one of the files."
            )
        by_split[split] = each
    train, val, notes = choose_splits(by_split, "images")
    chosen = [train] if val is None else [train, val]
    if val is not None:
        check_classes(Counter(train.classes), Counter(val.classes))
    data: dict[str, Any] = {"format": format}
    contents: list[SplitContent] = []
    for split, each in zip(("train", "val"), chosen, strict=False):
        data |= {f"{split}_images": each.folder or ".", f"{split}_annotations": each.path}
        labels = [train.class_names.index(name) for name in each.classes]
        pairs = np.stack([np.arange(len(labels)), np.array(labels, np.int64)], axis=1)
        contents.append(
            SplitContent(tuple(each.names), pairs, np.zeros((len(labels), 2), np.int64), num_read=len(labels))
        )
    return Recognized(
        title, "classification", tree.root, data, train.class_names, contents[0],
        contents[1] if len(contents) == 2 else None, assumed=tuple(notes),
    )  # fmt: skip


def _read_csv(tree: Tree, path: str) -> ClassList:
    rows = list_rows(tree.root / path)
    if not rows:
        raise DataError(f"{tree.root / path} has no rows. {IN_EACH_LINE}")
    suffix_of = {PurePosixPath(name).stem: PurePosixPath(name).suffix for name in tree.images}
    names = [name if is_image(name) else name + suffix_of.get(PurePosixPath(name).name, "") for name, _ in rows]
    folder = image_folder(tree, path, names)
    classes = tuple(dict.fromkeys(name for _, name in rows))
    images = read_class_list(tree.root / folder, tree.root / path, from_names(classes))
    return ClassList(path, folder, images.names, [classes[label] for label in images.labels or ()])
