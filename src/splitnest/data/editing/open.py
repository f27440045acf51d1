"""Opening of a dataset of any format that is recognized, with all its splits."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from splitnest.data.editing.dataset import Dataset, DatasetSplit
from splitnest.data.editing.label_map_splits import label_map_splits
from splitnest.data.editing.split_kinds import ClassSplit, InstanceSplit, PanopticSplit
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco_annotations import read_coco_annotations
from splitnest.data.formats.coco_panoptic import read_panoptic
from splitnest.data.formats.cvat import collect_cvat
from splitnest.data.formats.keypoint_points import Point, Points, keypoint_file
from splitnest.data.formats.label_studio import collect_label_studio
from splitnest.data.formats.labelme import collect_labelme
from splitnest.data.formats.open_images import read_open_images
from splitnest.data.formats.voc import read_voc, voc_class_names
from splitnest.data.images.listing import list_images
from splitnest.data.recognition.class_folders import class_folder_root, empty_split_folders, find_class_folders
from splitnest.data.recognition.class_lists import ClassList, read_choice_lists, read_csv_lists
from splitnest.data.recognition.coco import NOT_INSTANCES, distinct_files, image_folder
from splitnest.data.recognition.data_yaml import has_flips, yolo_skeleton
from splitnest.data.recognition.recognize import Candidate, first_readable
from splitnest.data.recognition.tools import images_beside
from splitnest.data.recognition.tree import Tree, common_folder, split_of
from splitnest.data.recognition.voc import voc_image_folder, voc_names, voc_splits
from splitnest.data.recognition.yolo import find_label_files, labels_of, listed_images, read_labels, yolo_splits
from splitnest.data.writers.formats import AnnotationKind
from splitnest.errors import DataError, first_few, tell
from splitnest.recipe import Keypoints
from splitnest.structures.categories import from_names
from splitnest.structures.skeleton import Skeleton, complete

_KINDS: dict[str, AnnotationKind] = {
    "coco_panoptic": "panoptic segments",
    "cityscapes": "label maps",
    "label_maps": "label maps",
    "class_folders": "classes of images",
    "csv": "classes of images",
}
"""Format -> kind of its annotations, for formats without instances."""


def open_dataset(path: Path) -> Dataset:
    """Return the dataset in a folder, or of an annotation file, with all its splits.

    Raises:
        DataError: There is no dataset, there are several formats, or the annotations are not valid.
    """
    dataset = first_readable(path, lambda tree, candidate: _read(path, tree, candidate))
    if not dataset.splits:
        raise DataError(f"{path} has no annotated images. Give another file or folder.")
    return dataset


def _read(path: Path, tree: Tree, candidate: Candidate) -> Dataset:
    paths = list(candidate.paths)
    splits: Iterable[DatasetSplit]
    kind = _KINDS.get(candidate.format, "instances")
    match candidate.format:
        case "coco":
            splits = _coco(tree, paths)
        case "coco_panoptic":
            splits = _panoptic(tree, paths)
        case "yolo":
            splits = _yolo(tree, paths)
        case "voc":
            splits = _voc(tree, paths)
        case "labelme":
            splits = (_of_tool(tree, "labelme", folder) for folder in _labelme_folders(paths))
        case "cityscapes" | "label_maps":
            splits = label_map_splits(tree, candidate.format)
        case "class_folders":
            splits = _class_folders(tree)
        case "csv":
            splits = _class_lists(tree, read_csv_lists(tree, paths))
        case "label_studio" if lists := read_choice_lists(tree, paths):
            splits, kind = _class_lists(tree, lists), "classes of images"
        case _:
            splits = (_of_tool(tree, candidate.format, each) for each in paths)
    order = {"train": 0, "val": 1, "test": 2}
    in_order: tuple[DatasetSplit, ...] = tuple(sorted(splits, key=lambda split: order.get(split.name or "", 3)))
    _tell_classes(in_order)
    return Dataset(path, candidate.format, kind, in_order)


def _tell_empty(split: str | None, place: Path) -> None:
    tell(f"note: the {'only' if split is None else split} split is empty and left out: {place} has no images")


def _tell_classes(splits: Sequence[DatasetSplit]) -> None:
    """Print the classes that later splits have and the first one lacks."""
    for split in splits[1:]:
        if only := [repr(name) for name in split.categories.names if name not in splits[0].categories.names]:
            name = split.name or split.images_dir
            tell(f"note: the splits have different classes: only {name} has {first_few(only)}")


def _coco(tree: Tree, paths: Sequence[str]) -> Iterator[InstanceSplit]:
    chosen = [path for path in paths if not os.path.basename(path).startswith(NOT_INSTANCES)] or list(paths)
    read = {path: read_coco_annotations(tree.root / path) for path in chosen}
    for path in [path for path, (file, _, _) in read.items() if not file.file_names]:
        _tell_empty(split_of(path), tree.root / path)
        del read[path]
    with_keypoints = [path for path, (_, _, definition) in read.items() if definition is not None]
    if 0 < len(with_keypoints) < len(read):
        tell(f"note: boxes and masks are read; for keypoints give one of the files {first_few(with_keypoints)}")
        read = {path: content for path, content in read.items() if path not in with_keypoints}
    folders = {path: image_folder(tree, path, file.file_names) for path, (file, _, _) in read.items()}
    notes: list[str] = []
    kept = distinct_files({path: (folders[path], file) for path, (file, _, _) in read.items()}, notes)
    for note in notes:
        tell(f"note: {note}")
    for path in kept:
        file, keypoints, definition = read[path]
        folder = tree.root / folders[path]
        if definition is None:
            yield InstanceSplit(split_of(path), file, folder)
        else:
            skeleton = Skeleton.from_keypoints(complete(definition)[0])
            named = skeleton.names, skeleton.pairs, skeleton.flip_indices
            yield InstanceSplit(split_of(path), file, folder, keypoints, *named)


def _panoptic(tree: Tree, paths: Sequence[str]) -> Iterator[PanopticSplit]:
    for path in paths:
        file = read_panoptic(tree.root / path)
        if not file.has_annotations:
            tell(f"note: {tree.root / path} has no annotations, as for a test set, and is not read")
        else:
            yield PanopticSplit(split_of(path), tree.root / image_folder(tree, path, file.file_names), tree.root / path)


def _class_folders(tree: Tree) -> Iterator[ClassSplit]:
    found = find_class_folders(tree)
    for split, folder in empty_split_folders(tree, found).items():
        _tell_empty(split, folder)
    folders = {split: class_folder_root(tree, names, split) for split, names in found.items()}
    relative = {
        split: [os.path.relpath(name, folders[split] or ".") for name in names] for split, names in found.items()
    }
    classes = sorted({name.split("/")[0] for names in relative.values() for name in names})
    for split, names in relative.items():
        labels = [classes.index(name.split("/")[0]) for name in names]
        yield ClassSplit(
            None if split == "all" else split, tree.root / folders[split], names, from_names(classes), labels
        )


def _class_lists(tree: Tree, lists: Sequence[ClassList]) -> Iterator[ClassSplit]:
    for each in lists:
        labels = [each.class_names.index(name) for name in each.classes]
        yield ClassSplit(split_of(each.path), tree.root / each.folder, each.names, from_names(each.class_names), labels)


def _yolo(tree: Tree, paths: Sequence[str]) -> Iterator[InstanceSplit]:
    notes: list[str] = []
    yaml_file = next((path for path in paths if path.lower().endswith((".yaml", ".yml"))), None)
    names, splits = yolo_splits(tree, yaml_file, find_label_files(tree), notes)
    skeleton = None if yaml_file is None else yolo_skeleton(tree.root / yaml_file)
    knows_flips = yaml_file is not None and has_flips(tree.root / yaml_file)
    for note in notes:
        tell(f"note: {note}")
    for split, sources in splits.items():
        for source in sources:
            folder, only = source, None
            if source.lower().endswith(".txt"):
                listed = listed_images(tree, source)
                folder = common_folder(listed)
                only = frozenset(os.path.relpath(name, folder or ".") for name in listed)
            elif not list_images(tree.root / folder).names:
                _tell_empty(split, tree.root / folder)
                continue
            labels = labels_of(tree, folder)
            file, points = read_labels(tree, labels, folder, names, skeleton, only)
            name = None if split == "all" else split
            read = _split(name, file, tree.root / folder, points, skeleton, tree.root / labels)
            yield read if knows_flips else replace(read, flip_indices=())


def _voc(tree: Tree, folders: list[str]) -> Iterator[InstanceSplit]:
    sources, _ = voc_splits(tree, folders)
    parts = []
    classes: set[str] = set()
    for split, (source, folder) in sources.items():
        images = tree.root / voc_image_folder(tree, folder, voc_names(tree, source, folder))
        parts.append((None if split == "all" else split, tree.root / source, tree.root / folder, images))
        classes |= voc_class_names(*parts[-1][1:])
    for name, source_path, folder_path, images in parts:
        file = read_voc(source_path, folder_path, images, from_names(sorted(classes)))
        yield InstanceSplit(name, file, images)


def _labelme_folders(folders: Sequence[str]) -> list[str]:
    """Return the folder of each split, whose subfolders are read too."""
    by_split: dict[str | None, list[str]] = {}
    for folder in folders:
        by_split.setdefault(split_of(folder), []).append(folder)
    return [os.path.commonpath(each) if "" not in each else "" for each in by_split.values()]


def _of_tool(tree: Tree, format: str, path: str) -> InstanceSplit:
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
) -> InstanceSplit:
    """Return a split with the keypoints of a skeleton, or without keypoints."""
    if skeleton is None:
        return InstanceSplit(name, file, images)
    keypoints = keypoint_file(file, points, skeleton, origin).keypoints
    return InstanceSplit(name, file, images, keypoints, skeleton.names, skeleton.pairs, skeleton.flip_indices)
