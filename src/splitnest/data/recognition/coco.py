"""Recognition of COCO datasets: instances, keypoints and panoptic segments, also of LVIS, Roboflow and CVAT."""

import os
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_columns import AnnotationColumns
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import checked_content
from splitnest.data.formats.coco_json import read_annotations
from splitnest.data.formats.coco_panoptic import PanopticFile, read_panoptic
from splitnest.data.formats.concatenation import concatenate
from splitnest.data.parts import Parts
from splitnest.data.recognition.instances import check_classes, check_not_empty, recognized_instances
from splitnest.data.recognition.recognized import Recognized, SplitContent, content_of
from splitnest.data.recognition.tree import Tree, choose_splits, split_of, spread
from splitnest.errors import DataError, first_few

MAX_SAMPLED_NAMES = 100
"""Number of image names by which the image folder of a file is found."""

NOT_INSTANCES = ("captions", "image_info", "stuff_", "panoptic_")
"""Beginnings of the names of COCO's other files."""


@dataclass(frozen=True)
class _File:
    """COCO file of instances.

    Attributes:
        path: Path relative to the root.
        content: Annotations.
        keypoints: Category -> names of its keypoints, for categories with some.
        has_keypoints: Whether each annotation has labeled keypoints.
        images: Image folder.
    """

    path: str
    content: AnnotationFile
    keypoints: dict[str, tuple[str, ...]]
    has_keypoints: NDArray[np.bool_]
    images: str


class _Columns(AnnotationColumns):
    """Columns of annotations, and whether they have labeled keypoints."""

    def __init__(self) -> None:
        super().__init__()
        self.has_keypoints = array("b")

    def append(self, item: dict[str, Any]) -> None:
        super().append(item)
        values = item.get("keypoints")
        visible = values[2::3] if isinstance(values, list) else ()
        self.has_keypoints.append(any(isinstance(value, int | float) and value > 0 for value in visible))


def recognize_coco(tree: Tree, paths: Sequence[str]) -> Recognized:
    """Return the dataset of COCO files of instances or keypoints.

    Args:
        tree: Files of the dataset.
        paths: COCO files.

    Raises:
        DataError: A file is not valid, images are not found, or several files annotate the same images.
    """
    chosen = [path for path in paths if not os.path.basename(path).startswith(NOT_INSTANCES)] or list(paths)
    files = [_read(tree, path) for path in chosen]
    notes: list[str] = []
    with_keypoints, others = [f for f in files if f.keypoints], [f for f in files if not f.keypoints]
    if with_keypoints and others:
        names = first_few([os.path.basename(file.path) for file in with_keypoints])
        notes.append(f"boxes and masks are learned; for keypoints give one of the files {names}")
    files = others or with_keypoints
    by_split: dict[str, list[_File]] = {}
    for file in files:
        by_split.setdefault(split_of(file.path) or "all", []).append(file)
    for split, each in by_split.items():
        kept = distinct_files({file.path: (file.images, file.content) for file in each}, notes)
        by_split[split] = sorted((file for file in each if file.path in kept), key=lambda file: file.path)
    train, val, split_notes = choose_splits(by_split, "images")
    parts = [_part(tree, each) if each else None for each in (train, val)]
    data: dict[str, Any] = {"format": "coco"}
    for split, part in zip(("train", "val"), parts, strict=True):
        if part is not None:
            images, annotations, _ = part
            data |= {f"{split}_images": images or ".", f"{split}_annotations": annotations}
    contents = [None if part is None else part[2] for part in parts]
    notes += split_notes
    if with_keypoints and not others:
        counted = [np.concatenate([file.has_keypoints for file in each]) if each else None for each in (train, val)]
        return _keypoints(tree, data, contents, counted, with_keypoints, notes)
    return recognized_instances("COCO", tree.root, data, contents, notes)


def recognize_panoptic(tree: Tree, paths: Sequence[str]) -> Recognized:
    """Return the dataset of COCO's panoptic files.

    Raises:
        DataError: A file is not valid, images or PNG files are not found, or several files are of one split.
    """
    by_split: dict[str, str] = {}
    for path in paths:
        split = split_of(path) or "all"
        if split in by_split:
            raise DataError(f"{tree.root} has {by_split[split]} and {path} for one split. Give one of the files.")
        by_split[split] = path
    train, val, notes = choose_splits(by_split, "images")
    data: dict[str, Any] = {"format": "coco"}
    contents: list[SplitContent | None] = []
    classes: tuple[str, ...] = ()
    stuff: tuple[str, ...] = ()
    for split, own in (("train", train), ("val", val)):
        if own is None:
            contents.append(None)
            continue
        file = read_panoptic(tree.root / own)
        if not len(file) or not file.has_annotations:
            raise DataError(f"{tree.root / own} has no annotated images. Add some, or remove the file.")
        images = image_folder(tree, own, [*file.file_names])
        data |= {f"{split}_images": images or ".", f"{split}_annotations": own}
        if split == "train":
            classes = tuple(category.name for category in file.categories if category.is_thing)
            stuff = tuple(category.name for category in file.categories if not category.is_thing)
        contents.append(_panoptic_content(file))
    assert contents[0] is not None
    if not classes or not stuff:
        raise DataError(f"{tree.root / train} has only {'stuff' if stuff else 'thing'} classes. Panoptic needs both.")
    return Recognized(
        "COCO panoptic", "panoptic", tree.root, data, classes, contents[0], contents[1], stuff=stuff,
        assumed=tuple(notes),
    )  # fmt: skip


def image_folder(tree: Tree, path: str, names: Sequence[str]) -> str:
    """Return the folder, relative to the root, in which the images of a file are.

    Of several folders with images of these names, the one of the file is taken, then one of the same split.

    Raises:
        DataError: None of the images is found.
    """
    sample = spread(names, MAX_SAMPLED_NAMES)
    by_name: dict[str, list[str]] = {}
    for image in tree.images:
        by_name.setdefault(os.path.basename(image), []).append(image)
    hits: dict[str, int] = {}
    for name in sample:
        plain = name.removeprefix("./")
        for image in by_name.get(os.path.basename(plain), ()):
            if image == plain or image.endswith(f"/{plain}"):
                folder = image[: -len(plain)].rstrip("/")
                hits[folder] = hits.get(folder, 0) + 1
    if not hits:
        found = f", such as {first_few(tree.images[:3])}" if tree.images else ""
        raise DataError(
            f"{tree.root / path} names images such as {sample[0]!r}, which are not below {tree.root}. It has "
            f"{len(tree.images)} images{found}. Add the images, or correct file_name in the file."
        )
    own, split = os.path.dirname(path), split_of(path)
    return max(hits, key=lambda folder: (hits[folder], folder == own, split_of(folder) == split, -len(folder)))


def _read(tree: Tree, path: str) -> _File:
    content, columns = read_annotations(tree.root / path, _Columns)
    file = checked_content(tree.root / path, content, columns)
    check_not_empty(file, tree.root, split_of(path) or "training", path)
    rows = [row for row in content["categories"] if isinstance(row, dict)]
    keypoints = {
        str(row.get("name")): tuple(map(str, row["keypoints"]))
        for row in rows
        if isinstance(row.get("keypoints"), list) and row["keypoints"]
    }
    has_keypoints = np.asarray(columns.has_keypoints).astype(bool)
    return _File(path, file, keypoints, has_keypoints, image_folder(tree, path, file.file_names))


def _part(tree: Tree, files: Sequence[_File]) -> tuple[Any, Any, AnnotationFile]:
    """Return image folder, annotation file and annotations of a split; folders and files as lists where several are."""
    if len(files) == 1:
        return files[0].images, files[0].path, files[0].content
    parts = Parts([tree.root / file.images for file in files], [tree.root / file.path for file in files])
    content = concatenate([file.content for file in files], parts)
    return [file.images or "." for file in files], [file.path for file in files], content


def distinct_files(files: Mapping[str, tuple[str, AnnotationFile]], notes: list[str]) -> list[str]:
    """Return the files without those whose images another one annotates too, with more instances or a shorter name.

    Args:
        files: Path of each file -> image folder and annotations.
        notes: List that a note on each file that is left out is added to.
    """
    kept: list[str] = []
    seen: set[str] = set()
    for path in sorted(files, key=lambda path: (-len(files[path][1].ids), len(path), path)):
        folder, content = files[path]
        images = {f"{folder}/{name}" for name in content.file_names}
        if images & seen:
            notes.append(f"{path} annotates images that {kept[0]} annotates too: give it to use it instead")
        else:
            kept.append(path)
            seen |= images
    return sorted(kept)


def _keypoints(
    tree: Tree,
    data: dict[str, Any],
    contents: Sequence[AnnotationFile | None],
    counted: Sequence[NDArray[np.bool_] | None],
    files: Sequence[_File],
    notes: Sequence[str],
) -> Recognized:
    keypoints = files[0].keypoints
    classes = tuple(keypoints)
    points = next(iter(keypoints.values()))
    if other := next((name for name, names in keypoints.items() if names != points), None):
        raise DataError(
            f"{tree.root / files[0].path}: {classes[0]!r} and {other!r} have different keypoints. Put each of them "
            f"into a file of its own."
        )
    splits = [
        None if file is None else content_of(file, classes, counted=which)
        for file, which in zip(contents, counted, strict=True)
    ]
    assert splits[0] is not None
    if not len(splits[0].pairs):
        raise DataError(f"{tree.root / files[0].path} has no instance with labeled keypoints. Correct it.")
    if splits[1] is not None and contents[1] is not None:
        check_classes(*(_counts(split, classes) for split in splits if split is not None))
    return Recognized(
        "COCO keypoints", "pose", tree.root, data, classes, splits[0], splits[1], keypoints=points,
        assumed=tuple(notes),
    )  # fmt: skip


def _counts(split: SplitContent, classes: Sequence[str]) -> Counter[str]:
    counts = split.counts(len(classes)).tolist()
    return Counter({name: count for name, count in zip(classes, counts, strict=True) if count})


def _panoptic_content(file: PanopticFile) -> SplitContent:
    images = np.repeat(np.arange(len(file)), np.diff(file.segment_ends, prepend=0))
    pairs = np.unique(np.stack([images, file.category_index], axis=1), axis=0)
    return SplitContent(file.file_names, pairs.reshape(-1, 2), file.sizes_hw, num_read=len(file))
