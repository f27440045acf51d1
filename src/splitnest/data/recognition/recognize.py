"""Recognition of the format, task, splits and classes of a dataset."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from splitnest.data.recognition.beginnings import Kind, kind_of
from splitnest.data.recognition.class_folders import find_class_folders, recognize_class_folders
from splitnest.data.recognition.class_lists import read_choice_lists, read_csv_lists, recognize_class_lists
from splitnest.data.recognition.coco import recognize_coco, recognize_panoptic
from splitnest.data.recognition.data_yaml import is_data_yaml
from splitnest.data.recognition.label_map_folders import find_map_folders
from splitnest.data.recognition.label_maps import find_cityscapes, recognize_cityscapes, recognize_maps
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

T = TypeVar("T")

_FORMATS: dict[Kind, tuple[str, str]] = {
    "coco": ("coco", "COCO"),
    "coco panoptic": ("coco_panoptic", "COCO panoptic"),
    "labelme": ("labelme", "labelme"),
    "label studio": ("label_studio", "Label Studio"),
    "voc": ("voc", "Pascal VOC"),
    "cvat": ("cvat", "CVAT"),
    "open images": ("open_images", "Open Images"),
    "class list": ("csv", "lists of images and classes"),
}
"""Kind of an annotation file -> format, and its name for people."""


@dataclass(frozen=True)
class Candidate:
    """Format that a folder may have.

    Attributes:
        format: Format: ``coco``, ``coco_panoptic``, ``labelme``, ``label_studio``, ``voc``, ``cvat``, ``open_images``,
            ``yolo``, ``cityscapes``, ``label_maps``, ``class_folders`` or ``csv``.
        name: Name of the format for people.
        paths: Annotation files relative to the folder; folders of them for labelme and VOC, or of images by class;
            ``data.yaml`` files of YOLO.
    """

    format: str
    name: str
    paths: Sequence[str] = ()

    @property
    def seen(self) -> str:
        """Files or folders that speak for the format."""
        return _shown(self.paths)


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
    return first_readable(path, _read)


def first_readable(path: str | Path, read: Callable[[Tree, Candidate], T]) -> T:
    """Return what a function reads of a folder, or of an annotation file and the first folder above it that suits.

    Args:
        path: Same as for ``recognize``.
        read: Function of a folder and its format, which raises a DataError if the folder does not suit.

    Raises:
        DataError: Same conditions as for ``recognize``.
    """
    path = Path(os.path.abspath(path))
    if path.is_dir():
        tree = list_tree(path)
        return read(tree, _only(tree, _candidates(tree)))
    if not path.is_file():
        raise DataError(f"{path} does not exist. Give the folder of a dataset, or its annotation file.")
    errors: list[DataError] = []
    for tree, candidate in _of_file(path):
        try:
            return read(tree, candidate)
        except DataError as error:
            errors.append(error)
    raise errors[0] if errors else DataError(f"{path.parent} and the folders above have no images. Add them.")


def _read(tree: Tree, candidate: Candidate) -> Recognized:
    paths = list(candidate.paths)
    match candidate.format:
        case "coco":
            return recognize_coco(tree, paths)
        case "coco_panoptic":
            return recognize_panoptic(tree, paths)
        case "labelme":
            return recognize_labelme(tree, paths)
        case "voc":
            return recognize_voc(tree, paths)
        case "yolo":
            yaml_file = next((name for name in paths if name.lower().endswith((".yaml", ".yml"))), None)
            return recognize_yolo(tree, yaml_file, find_label_files(tree))
        case "cityscapes":
            return recognize_cityscapes(tree)
        case "label_maps":
            return recognize_maps(tree, find_map_folders(tree))
        case "csv":
            return recognize_class_lists(tree, "CSV lists", "folders", read_csv_lists(tree, paths))
        case "label_studio" if lists := read_choice_lists(tree, paths):
            return recognize_class_lists(tree, "Label Studio choices", "label_studio", lists)
        case "class_folders":
            return recognize_class_folders(tree, find_class_folders(tree))
    return recognize_files(tree, candidate.format, paths)


def _only(tree: Tree, candidates: list[Candidate]) -> Candidate:
    if not candidates:
        raise DataError(_explain_nothing(tree))
    if len(candidates) > 1:
        seen = " and ".join(f"{each.name} ({each.seen})" for each in candidates)
        raise DataError(
            f"{tree.root} has several formats: {seen}. Give the file or the folder of the annotations to use instead "
            f"of the whole folder, such as {tree.root / candidates[0].seen.split(', ')[0]}, or move the others away."
        )
    return candidates[0]


def _candidates(tree: Tree) -> list[Candidate]:
    """Return the formats that a folder may have."""
    kinds = _kinds(tree)
    found = [
        Candidate(*name, _folders(kinds[kind]) if kind in ("labelme", "voc") else kinds[kind])
        for kind, name in _FORMATS.items()
        if kind in kinds and kind != "class list" and not (kind == "coco panoptic" and "coco" in kinds)
    ]
    if seen := find_data_yaml(tree) or find_label_files(tree):
        found.append(Candidate("yolo", "YOLO", seen))
    if find_cityscapes(tree):
        found.append(Candidate("cityscapes", "Cityscapes", ["leftImg8bit"]))
    elif "coco panoptic" not in kinds and (pairs := find_map_folders(tree)):
        found.append(Candidate("label_maps", "label maps", [pair.maps for pair in pairs]))
    if not found and "class list" in kinds:
        found.append(Candidate(*_FORMATS["class list"], kinds["class list"]))
    if not found and (classes := find_class_folders(tree)):
        found.append(Candidate("class_folders", "image folders by class", [*classes]))
    return found


def _of_file(path: Path) -> Iterator[tuple[Tree, Candidate]]:
    """Yield the folders that an annotation file may belong to: that of the file, and those above with images."""
    if path.suffix.lower() in (".yaml", ".yml"):
        if not is_data_yaml(path):
            raise DataError(f"{path} is not a data.yaml of YOLO, with names and train. Give the folder of the dataset.")
        yield list_tree(path.parent), Candidate("yolo", "YOLO", [path.name])
        return
    kind = kind_of(path)
    if kind is None:
        raise DataError(
            f"{path} is not an annotation file of COCO, CVAT, Label Studio or Open Images. Give one, or the folder of "
            f"the dataset."
        )
    if kind in ("voc", "labelme"):
        raise DataError(f"{path} is the annotation of one image. Give the folder of the dataset.")
    for folder in list(path.parents)[:MAX_PARENTS]:
        tree = list_tree(folder)
        if tree.images:
            own = path.relative_to(folder).as_posix()
            others = (name for name in _siblings(tree, own) if kind_of(folder / name) == kind)
            yield tree, Candidate(*_FORMATS[kind], [own, *others])


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


def _shown(paths: Sequence[str]) -> str:
    return first_few([path or "." for path in paths])


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
    folders = first_few([folder or "the folder itself" for folder in tree.image_folders])
    return f"{seen}. Images are in {folders}. Annotations can be {known}."
