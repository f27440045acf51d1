"""Opening of a dataset with annotated instances, of any format that is recognized, with all its splits."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from splitnest.data.editing.dataset import Dataset, DatasetSplit
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco_annotations import read_coco_annotations
from splitnest.data.formats.cvat import collect_cvat
from splitnest.data.formats.keypoint_points import Point, Points, keypoint_file
from splitnest.data.formats.label_studio import collect_label_studio
from splitnest.data.formats.labelme import collect_labelme
from splitnest.data.formats.open_images import read_open_images
from splitnest.data.formats.voc import read_voc, voc_class_names
from splitnest.data.recognition.coco import NOT_INSTANCES, image_folder
from splitnest.data.recognition.data_yaml import yolo_skeleton
from splitnest.data.recognition.recognize import Candidate, first_readable
from splitnest.data.recognition.tools import images_beside
from splitnest.data.recognition.tree import Tree, common_folder, split_of
from splitnest.data.recognition.voc import voc_image_folder, voc_names, voc_splits
from splitnest.data.recognition.yolo import find_label_files, labels_of, listed_images, read_labels, yolo_splits
from splitnest.errors import DataError, UsageError, tell
from splitnest.recipe import Keypoints
from splitnest.structures.categories import from_names
from splitnest.structures.skeleton import Skeleton, complete

_NOT_EDITED = {
    "coco_panoptic": "COCO panoptic segments",
    "cityscapes": "Cityscapes",
    "label_maps": "label maps",
    "folders": "image folders by class",
}
"""Format without annotated instances -> what it is."""


def open_dataset(path: Path) -> Dataset:
    """Return the dataset in a folder, or of an annotation file, with all its splits.

    Raises:
        DataError: There is no dataset, there are several formats, or the annotations are not valid.
        UsageError: The dataset has no annotated instances.
    """
    dataset = first_readable(path, lambda tree, candidate: _read(path, tree, candidate))
    if not dataset.splits:
        raise DataError(f"{path} has no annotated images. Give another file or folder.")
    return dataset


def _read(path: Path, tree: Tree, candidate: Candidate) -> Dataset:
    if candidate.format in _NOT_EDITED:
        raise UsageError(
            f"{path} has {_NOT_EDITED[candidate.format]}. Only datasets with boxes, polygons, masks of instances or "
            f"keypoints can be converted, split and merged."
        )
    paths = list(candidate.paths)
    match candidate.format:
        case "coco":
            splits = _coco(tree, paths)
        case "yolo":
            splits = _yolo(tree, paths)
        case "voc":
            splits = _voc(tree, paths)
        case "labelme":
            splits = (_of_tool(tree, "labelme", folder) for folder in _labelme_folders(paths))
        case _:
            splits = (_of_tool(tree, candidate.format, each) for each in paths)
    order = {"train": 0, "val": 1, "test": 2}
    return Dataset(path, candidate.format, tuple(sorted(splits, key=lambda split: order.get(split.name or "", 3))))


def _coco(tree: Tree, paths: Sequence[str]) -> Iterator[DatasetSplit]:
    chosen = [path for path in paths if not os.path.basename(path).startswith(NOT_INSTANCES)] or list(paths)
    for path in chosen:
        file, keypoints, definition = read_coco_annotations(tree.root / path)
        if not file.file_names:
            continue
        folder = tree.root / image_folder(tree, path, file.file_names)
        if definition is None:
            yield DatasetSplit(split_of(path), file, folder)
        else:
            skeleton = Skeleton.from_keypoints(complete(definition)[0])
            yield DatasetSplit(split_of(path), file, folder, keypoints, skeleton.names, skeleton.pairs)


def _yolo(tree: Tree, paths: Sequence[str]) -> Iterator[DatasetSplit]:
    notes: list[str] = []
    yaml_file = next((path for path in paths if path.lower().endswith((".yaml", ".yml"))), None)
    names, splits = yolo_splits(tree, yaml_file, find_label_files(tree), notes)
    skeleton = None if yaml_file is None else yolo_skeleton(tree.root / yaml_file)
    for note in notes:
        tell(f"note: {note}")
    for split, sources in splits.items():
        for source in sources:
            folder, only = source, None
            if source.lower().endswith(".txt"):
                listed = listed_images(tree, source)
                folder = common_folder(listed)
                only = frozenset(os.path.relpath(name, folder or ".") for name in listed)
            labels = labels_of(tree, folder)
            file, points = read_labels(tree, labels, folder, names, skeleton, only)
            name = None if split == "all" else split
            yield _split(name, file, tree.root / folder, points, skeleton, tree.root / labels)


def _voc(tree: Tree, folders: list[str]) -> Iterator[DatasetSplit]:
    sources, _ = voc_splits(tree, folders)
    parts = []
    classes: set[str] = set()
    for split, (source, folder) in sources.items():
        images = tree.root / voc_image_folder(tree, folder, voc_names(tree, source, folder))
        parts.append((None if split == "all" else split, tree.root / source, tree.root / folder, images))
        classes |= voc_class_names(*parts[-1][1:])
    for name, source_path, folder_path, images in parts:
        file = read_voc(source_path, folder_path, images, from_names(sorted(classes)))
        yield DatasetSplit(name, file, images)


def _labelme_folders(folders: Sequence[str]) -> list[str]:
    """Return the folder of each split, whose subfolders are read too."""
    by_split: dict[str | None, list[str]] = {}
    for folder in folders:
        by_split.setdefault(split_of(folder), []).append(folder)
    return [os.path.commonpath(each) if "" not in each else "" for each in by_split.values()]


def _of_tool(tree: Tree, format: str, path: str) -> DatasetSplit:
    """Return the split that an annotation tool exports as a file or a folder."""
    source, images = tree.root / path, tree.root / images_beside(tree, path)
    points: Points = {}
    match format:
        case "open_images":
            file = read_open_images(source, images)
        case "labelme":
            images = source if any(PurePosixPath(name).is_relative_to(path) for name in tree.images) else images
            file, points = collect_labelme(source, images)
        case "cvat":
            file, points = collect_cvat(source, images)
        case _:
            file, points = collect_label_studio(source, images)
    return _split(split_of(path), file, images, points, _skeleton(points), source)


def _skeleton(points: Points) -> Skeleton | None:
    """Return the keypoints by name, in the order of the instance that has most; None without any."""
    longest: Sequence[Point] = max(points.values(), key=len, default=())
    names = dict.fromkeys(name for of_instance in (longest, *points.values()) for name, *_ in of_instance)
    return Skeleton.from_keypoints(complete(Keypoints(names=tuple(names)))[0]) if names else None


def _split(
    name: str | None, file: AnnotationFile, images: Path, points: Points, skeleton: Skeleton | None, origin: Path
) -> DatasetSplit:
    """Return a split with the keypoints of a skeleton, or without keypoints."""
    if skeleton is None:
        return DatasetSplit(name, file, images)
    keypoints = keypoint_file(file, points, skeleton, origin).keypoints
    return DatasetSplit(name, file, images, keypoints, skeleton.names, skeleton.pairs)
