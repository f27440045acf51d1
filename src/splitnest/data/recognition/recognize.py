"""Recognition of the format, task, splits and classes of a dataset."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from splitnest.data.recognition.beginnings import Kind, kind_of
from splitnest.data.recognition.class_folders import find_class_folders, recognize_class_folders
from splitnest.data.recognition.coco import recognize_coco, recognize_panoptic
from splitnest.data.recognition.data_yaml import is_data_yaml
from splitnest.data.recognition.label_maps import (
    find_cityscapes,
    find_map_folders,
    recognize_cityscapes,
    recognize_maps,
)
from splitnest.data.recognition.recognized import Recognized
from splitnest.data.recognition.tools import recognize_files, recognize_labelme
from splitnest.data.recognition.tree import Tree, list_tree, split_of, spread
from splitnest.data.recognition.voc import recognize_voc
from splitnest.data.recognition.yolo import find_data_yaml, find_label_files, recognize_yolo
from splitnest.errors import DataError, first_few

MAX_BEGINNINGS = 200
"""Number of files of a suffix whose beginning is read."""

MAX_PARENTS = 3
"""Number of folders above a file in which its images are looked for."""


@dataclass(frozen=True)
class _Candidate:
    """Format that a folder may have.

    Attributes:
        name: Name of the format for people.
        seen: Files or folders that speak for it.
        build: Function that reads the dataset.
    """

    name: str
    seen: str
    build: Callable[[], Recognized]


def recognize(path: str | Path) -> Recognized:
    """Return what a folder or an annotation file is.

    Formats: COCO (also panoptic, keypoints, LVIS, and as Roboflow and CVAT export it), YOLO, Pascal VOC, labelme, CVAT,
    Label Studio, Open Images, Cityscapes, ADE20K, folders of label maps, image folders by class. Of more than
    ``MAX_READ`` files with one image each, and of label maps, a sample is read, and noted in ``assumed``.

    Args:
        path: Folder of the dataset, or annotation file: JSON, XML or CSV, or YOLO's ``data.yaml``.

    Raises:
        DataError: The path does not exist, is no dataset, has several formats, or its annotations are not valid.
    """
    path = Path(os.path.abspath(path))
    if path.is_dir():
        tree = list_tree(path)
        return _only(tree, _candidates(tree))
    if not path.is_file():
        raise DataError(f"{path} does not exist. Give the folder of a dataset, or its annotation file.")
    return _of_file(path)


def _only(tree: Tree, candidates: list[_Candidate]) -> Recognized:
    if not candidates:
        raise DataError(_explain_nothing(tree))
    if len(candidates) > 1:
        seen = " and ".join(f"{each.name} ({each.seen})" for each in candidates)
        raise DataError(
            f"{tree.root} has several formats: {seen}. Give the file or the folder of the annotations to use instead "
            f"of the whole folder, such as {tree.root / candidates[0].seen.split(', ')[0]}, or move the others away."
        )
    return candidates[0].build()


def _candidates(tree: Tree) -> list[_Candidate]:
    """Return the formats that a folder may have."""
    kinds = _kinds(tree)
    found: list[_Candidate] = []
    if coco := kinds.get("coco"):
        found.append(_Candidate("COCO", first_few(coco), lambda: recognize_coco(tree, coco)))
    if (panoptic := kinds.get("coco panoptic")) and not coco:
        found.append(_Candidate("COCO panoptic", first_few(panoptic), lambda: recognize_panoptic(tree, panoptic)))
    if kinds.get("labelme"):
        folders = _folders(kinds["labelme"])
        found.append(_Candidate("labelme", _shown(folders), lambda: recognize_labelme(tree, folders)))
    if studio := kinds.get("label studio"):
        found.append(
            _Candidate("Label Studio", first_few(studio), lambda: recognize_files(tree, "label_studio", studio))
        )
    if kinds.get("voc"):
        xml = _folders(kinds["voc"])
        found.append(_Candidate("Pascal VOC", _shown(xml), lambda: recognize_voc(tree, xml)))
    if cvat := kinds.get("cvat"):
        found.append(_Candidate("CVAT", first_few(cvat), lambda: recognize_files(tree, "cvat", cvat)))
    if boxes := kinds.get("open images"):
        found.append(_Candidate("Open Images", first_few(boxes), lambda: recognize_files(tree, "open_images", boxes)))
    yaml_files, labels = find_data_yaml(tree), find_label_files(tree)
    if yaml_files or labels:
        first = yaml_files[0] if yaml_files else None
        seen = first_few(yaml_files) if yaml_files else _shown(labels)
        found.append(_Candidate("YOLO", seen, lambda: recognize_yolo(tree, first, labels)))
    if find_cityscapes(tree):
        found.append(_Candidate("Cityscapes", "leftImg8bit", lambda: recognize_cityscapes(tree)))
    elif not panoptic and (pairs := find_map_folders(tree)):
        seen = first_few([pair.maps or "." for pair in pairs])
        found.append(_Candidate("label maps", seen, lambda: recognize_maps(tree, pairs)))
    if not found and (classes := find_class_folders(tree)):
        found.append(
            _Candidate("image folders by class", first_few([*classes]), lambda: recognize_class_folders(tree, classes))
        )
    return found


def _of_file(path: Path) -> Recognized:
    """Return the dataset of an annotation file: its images are beside it, or in a folder above."""
    if path.suffix.lower() in (".yaml", ".yml"):
        if not is_data_yaml(path):
            raise DataError(f"{path} is not a data.yaml of YOLO, with names and train. Give the folder of the dataset.")
        tree = list_tree(path.parent)
        return recognize_yolo(tree, path.name, find_label_files(tree))
    kind = kind_of(path)
    if kind is None:
        raise DataError(
            f"{path} is not an annotation file of COCO, CVAT, Label Studio or Open Images. Give one, or the folder of "
            f"the dataset."
        )
    if kind in ("voc", "labelme"):
        raise DataError(f"{path} is the annotation of one image. Give the folder of the dataset.")
    build: dict[Kind, Callable[[Tree, list[str]], Recognized]] = {
        "coco": recognize_coco,
        "coco panoptic": recognize_panoptic,
        "cvat": lambda tree, paths: recognize_files(tree, "cvat", paths),
        "label studio": lambda tree, paths: recognize_files(tree, "label_studio", paths),
        "open images": lambda tree, paths: recognize_files(tree, "open_images", paths),
    }
    errors: list[DataError] = []
    for folder in list(path.parents)[:MAX_PARENTS]:
        tree = list_tree(folder)
        if not tree.images:
            continue
        own = path.relative_to(folder).as_posix()
        paths = [own, *(name for name in _siblings(tree, own) if kind_of(folder / name) == kind)]
        try:
            return build[kind](tree, paths)
        except DataError as error:
            errors.append(error)
    raise errors[0] if errors else DataError(f"{path.parent} and the folders above have no images. Add them.")


def _siblings(tree: Tree, own: str) -> list[str]:
    """Return the files of the other splits: with the same name except for that of the split."""
    if split_of(own) is None:
        return []
    pattern = _without_split(own)
    return [name for name in tree.files if name != own and split_of(name) and _without_split(name) == pattern]


def _without_split(name: str) -> str:
    return re.sub(r"trainval|training|train|validation|valid|val|dev|testing|test", "*", name.lower())


def _kinds(tree: Tree) -> dict[Kind, list[str]]:
    """Return kind -> annotation files, of a sample of the JSON, XML and CSV files."""
    kinds: dict[Kind, list[str]] = {}
    for suffix in (".json", ".xml", ".csv"):
        for name in spread(tree.with_suffix(suffix), MAX_BEGINNINGS):
            if (kind := kind_of(tree.root / name)) is not None:
                kinds.setdefault(kind, []).append(name)
    return kinds


def _folders(sample: list[str]) -> list[str]:
    """Return the folders with annotation files: those of a sample."""
    return list(dict.fromkeys(os.path.dirname(name) for name in sample))


def _shown(folders: list[str]) -> str:
    return first_few([folder or "." for folder in folders])


def _explain_nothing(tree: Tree) -> str:
    """Return why a folder is not a dataset."""
    if not tree.files:
        return f"{tree.root} is empty. Give the folder of a dataset."
    known = (
        "COCO, Pascal VOC, YOLO, labelme, CVAT, Label Studio, Open Images, label maps, or a folder of images for each "
        "class"
    )
    seen = f"{tree.root} has {tree.describe()}, and no annotations that are known"
    if not tree.images:
        return f"{seen}; it has no images either. Give the folder of a dataset: {known}."
    folders = first_few([folder or "." for folder in tree.image_folders])
    return f"{seen}. Images are in {folders}. Annotations can be {known}."
