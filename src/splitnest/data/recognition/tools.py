"""Recognition of the exports of labelme, CVAT, Label Studio and Open Images."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.concatenation import concatenate
from splitnest.data.formats.cvat import collect_cvat
from splitnest.data.formats.keypoint_points import Points
from splitnest.data.formats.label_studio import collect_label_studio
from splitnest.data.formats.labelme import collect_labelme
from splitnest.data.formats.open_images import read_open_images
from splitnest.data.parts import Parts
from splitnest.data.recognition.instances import recognized_instances
from splitnest.data.recognition.keypoints import joined_points, with_keypoints
from splitnest.data.recognition.recognized import Recognized
from splitnest.data.recognition.sampling import MAX_READ, sample_of, sampled_note
from splitnest.data.recognition.tree import Tree, choose_splits, split_of
from splitnest.errors import DataError

Reader = Callable[[Path, Path], tuple[AnnotationFile, Points]]

READERS: dict[str, tuple[str, Reader]] = {
    "cvat": ("CVAT", collect_cvat),
    "label_studio": ("Label Studio", collect_label_studio),
    "open_images": ("Open Images", lambda source, images: (read_open_images(source, images), {})),
}
"""Value of ``data.format`` -> name for people, and reader of a file for all images."""


def recognize_files(tree: Tree, format_: str, paths: Sequence[str]) -> Recognized:
    """Return the dataset of files that each annotate many images.

    Args:
        tree: Files of the dataset.
        format_: Value of ``data.format``, one of ``READERS``.
        paths: Annotation files, relative to the root.

    Raises:
        DataError: A file is not valid, or has no image of the folder.
    """
    title, read = READERS[format_]
    by_split: dict[str, list[str]] = {}
    for path in paths:
        by_split.setdefault(split_of(path) or "all", []).append(path)
    train, val, notes = choose_splits(by_split, "images")
    data: dict[str, Any] = {"format": format_}
    files: list[AnnotationFile | None] = []
    points: list[Points | None] = []
    for split, group in (("train", train), ("val", val)):
        if group is None:
            files.append(None)
            points.append(None)
            continue
        images = [images_beside(tree, path) for path in group]
        each_read = [read(tree.root / path, tree.root / folder) for path, folder in zip(group, images, strict=True)]
        read_files, read_points = [file for file, _ in each_read], [of_file for _, of_file in each_read]
        points.append(joined_points(read_files, read_points))
        for path, file in zip(group, read_files, strict=True):
            if not len(file.image_ids):
                raise DataError(f"{tree.root / path} has no image of {tree.root} with annotations. Add the images.")
        single = len(group) == 1
        data |= {
            f"{split}_images": (images[0] or ".") if single else [each or "." for each in images],
            f"{split}_annotations": group[0] if single else list(group),
        }
        files.append(read_files[0] if single else _concatenated(tree, read_files, images, group))
    recognized = recognized_instances(title, tree.root, data, files, notes, class_order=_classes(files))
    return with_keypoints(recognized, files, points)


def recognize_labelme(tree: Tree, folders: Sequence[str]) -> Recognized:
    """Return the dataset of folders of labelme's JSON files.

    Raises:
        DataError: A file is not valid, or has no image.
    """
    by_split: dict[str, list[str]] = {}
    for folder in folders:
        by_split.setdefault(split_of(folder) or "all", []).append(folder)
    train, val, notes = choose_splits(by_split, "images")
    data: dict[str, Any] = {"format": "labelme"}
    files: list[AnnotationFile | None] = []
    points: list[Points | None] = []
    every: list[list[str] | None] = []
    read: list[int | None] = []
    for split, group in (("train", train), ("val", val)):
        if group is None:
            files.append(None)
            points.append(None)
            every.append(None)
            read.append(None)
            continue
        folder = group[0] if len(group) == 1 else os.path.commonpath(group) if "" not in group else ""
        images = folder if any(name.startswith(_start(folder)) for name in tree.images) else images_beside(tree, folder)
        names = [name[len(_start(folder)) :] for name in tree.with_suffix(".json") if name.startswith(_start(folder))]
        only = sample_of(names) if len(names) > MAX_READ else None
        file, of_file = collect_labelme(tree.root / folder, tree.root / images, None, only)
        if not len(file.image_ids):
            raise DataError(f"None of the images of the JSON files in {tree.root / folder} is there. Add the images.")
        data |= {f"{split}_images": images or ".", f"{split}_annotations": folder or "."}
        files.append(file)
        points.append(of_file)
        if only is not None:
            notes.append(sampled_note(len(names), "JSON files"))
        in_folder = [name[len(_start(images)) :] for name in tree.images if name.startswith(_start(images))]
        stems = {os.path.splitext(os.path.basename(name))[0] for name in names}
        with_json = [name for name in in_folder if os.path.splitext(os.path.basename(name))[0] in stems]
        every.append(None if only is None else list(dict.fromkeys([*with_json, *file.file_names])))
        read.append(None if only is None else len(file.image_ids))
    recognized = recognized_instances(
        "labelme", tree.root, data, files, notes, class_order=_classes(files), all_names=every, num_read=read
    )
    return with_keypoints(recognized, files, points)


def _concatenated(
    tree: Tree, files: Sequence[AnnotationFile], images: Sequence[str], paths: Sequence[str]
) -> AnnotationFile:
    return concatenate(files, Parts([tree.root / each for each in images], [tree.root / each for each in paths]))


def _classes(files: Sequence[AnnotationFile | None]) -> list[str]:
    """Return the classes of the training split in their order, then those of the validation split."""
    return list(dict.fromkeys(name for file in files if file is not None for _, name in file.categories))


def _start(folder: str) -> str:
    return f"{folder}/" if folder else ""


def images_beside(tree: Tree, path: str) -> str:
    """Return the folder of images for an annotation file or folder.

    It is the folder ``images`` of the split or of the root if all images of the root are there, the folder of the file
    if that has images, and otherwise the root.
    """
    folder, split = os.path.dirname(path), split_of(path)
    of_split = [each for each in tree.image_folders if split is not None and split_of(each) == split]
    if len(of_split) == 1:
        return of_split[0]
    inside = [name for name in tree.images if name.startswith(_start(folder))]
    if not inside:
        folder, inside = "", tree.images
    parents = {os.path.dirname(name) for name in inside}
    return os.path.commonpath(parents) if parents and "" not in parents else folder
