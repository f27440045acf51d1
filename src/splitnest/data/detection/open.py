"""Opening of the detection or panoptic dataset that a recipe describes."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.panoptic import CocoPanoptic
from splitnest.data.detection.tool_exports import ToolData, read_tool_export
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import read_coco
from splitnest.data.formats.concatenation import concatenate
from splitnest.data.formats.image_lists import limited_annotations
from splitnest.data.formats.voc import read_voc, voc_class_names
from splitnest.data.formats.voc_files import find_annotations
from splitnest.data.formats.yolo import read_yolo, yolo_class_names
from splitnest.data.paths import existing_folder, optional_path, required_path, required_paths, required_root
from splitnest.data.scenes.detection import SceneDetection
from splitnest.data.scenes.open import open_scenes
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.errors import DataError, UsageError
from splitnest.recipe import DetectionRecipe, Split
from splitnest.recipe.data import FILE, CocoData, DetectionData, SceneData, VocData, YoloData
from splitnest.structures.categories import Categories

SPLITS: tuple[Split, ...] = ("train", "val")

VOC_LISTS = "ImageSets"
"""Folder of the lists of image names in the layout of Pascal VOC."""


def open_dataset(data: DetectionData, split: Split, categories: Categories) -> DetectionDataset:
    """Return one split of a detection dataset, a ``PanopticDataset`` if the recipe has stuff classes.

    Args:
        data: Data section of a recipe.
        split: Split of the dataset.
        categories: Classes of the model; of a panoptic model thing classes, then stuff classes.

    Raises:
        UsageError: ``data.root`` or a path is not set.
        DataError: The dataset cannot be read, or has other classes than the model.
    """
    if isinstance(data, SceneData):
        scenes = open_scenes(data, split)
        return ScenePanoptic(scenes, categories) if data.stuff else SceneDetection(scenes, categories)
    folders = required_paths(data, f"{split}_images", "the image folder")
    image_list = optional_path(data, f"{split}_list")
    if isinstance(data, CocoData):
        files = required_paths(data, f"{split}_annotations", "the annotation file")
        if len(files) > 1:
            return _concatenated(required_root(data), folders, files, categories)
        if data.stuff:
            instances_file = optional_path(data, f"{split}_instances")
            return CocoPanoptic(folders[0], files[0], categories, instances_file, image_list)
    images, file, origin = _read(data, split, categories)
    if image_list is not None:
        file = limited_annotations(file, image_list)
    return DetectionDataset(images, file, origin, categories)


def _read(
    data: CocoData | VocData | YoloData | ToolData, split: Split, categories: Categories
) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a split, its annotations, and the file or folder they are from."""
    images = required_path(data, f"{split}_images", "the image folder")
    match data:
        case YoloData():
            labels = _yolo_labels(data, split)
            return images, read_yolo(labels, images, categories), labels
        case VocData():
            source, folder = _voc_source(data, split, images)
            return images, read_voc(source, folder, images, categories), source
        case CocoData():
            annotations = required_path(data, f"{split}_annotations", "the annotation file")
            return existing_folder(images, "images"), read_coco(annotations), annotations
        case _:
            return read_tool_export(data, split, categories)


def with_file_classes(recipe: DetectionRecipe) -> tuple[DetectionRecipe, list[str]]:
    """Return a recipe whose ``data.classes: file`` is replaced by the classes of its annotation files, and notes.

    COCO's categories are taken in the order of their ids, without those that have no annotations; names in VOC's XML
    files in alphabetical order; YOLO's names in the order of ``data.yaml`` or of a list.

    Raises:
        UsageError: ``data.root`` or a path is not set, or the dataset has no annotation file.
        DataError: The files cannot be read, or have no classes.
    """
    data = recipe.data
    if data.classes != FILE or isinstance(data, SceneData):
        return recipe, []
    splits: list[Split] = [split for split in SPLITS if data.has_split(split)]
    if not splits:
        required_path(data, "train_images", "the image folder")
    notes: list[str] = []
    match data:
        case VocData():
            names = sorted(set().union(*(_voc_names(data, split) for split in splits)))
        case YoloData():
            names = yolo_class_names(required_root(data), _yolo_labels(data, splits[0]))
        case CocoData():
            files = [path for split in splits for path in required_paths(data, f"{split}_annotations", "the file")]
            names, notes = _coco_names(files)
        case _:
            exports = [read_tool_export(data, split, None)[1] for split in splits]
            names = list(dict.fromkeys(name for file in exports for _, name in file.categories))
    if not names:
        raise DataError(f"The annotations of {data.root} have no classes. List the class names in data.classes.")
    return recipe.model_copy(update={"data": data.model_copy(update={"classes": tuple(names)})}), notes


def _concatenated(
    root: Path, folders: Sequence[Path], files: Sequence[Path], categories: Categories
) -> DetectionDataset:
    """Return the dataset of several COCO files, whose image names are relative to the root."""
    for folder in folders:
        existing_folder(folder, "images")
    of_files = list(folders) * len(files) if len(folders) == 1 else folders
    prefixes = [os.path.relpath(folder, root) for folder in of_files]
    content = concatenate([read_coco(file) for file in files], prefixes, [str(file) for file in files])
    dataset = DetectionDataset(root, content, files[0], categories)
    dataset.source, dataset.inputs = f"{files[0]} and {len(files) - 1} more", tuple(map(str, files))
    return dataset


def _coco_names(paths: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Return the names of the categories with annotations in the order of their ids, and a note on the others."""
    names: dict[int, str] = {}
    used: set[int] = set()
    for path in dict.fromkeys(paths):
        file = read_coco(path)
        names |= dict(file.categories)
        used |= {file.categories[index][0] for index in set(file.category_index.tolist())}
    unused = [f"{name} (id {id_})" for id_, name in sorted(names.items()) if id_ not in used]
    notes = [f"data.classes=file: categories without annotations are left out: {', '.join(unused)}"] if unused else []
    return [name for id_, name in sorted(names.items()) if id_ in used], notes


def _voc_names(data: VocData, split: Split) -> set[str]:
    images = required_path(data, f"{split}_images", "the image folder")
    return voc_class_names(*_voc_source(data, split, images), images)


def _voc_source(data: VocData, split: Split, images: Path) -> tuple[Path, Path]:
    """Return the list of image names, or the folder whose XML files are all taken; and the folder of the XML files."""
    root = required_root(data)
    annotations: str | None = getattr(data, f"{split}_annotations")
    if annotations is not None and (root / annotations).is_dir():
        return root / annotations, root / annotations
    if annotations is None and (root / VOC_LISTS).is_dir():
        what = "the list of image names, such as ImageSets/Main/test.txt, or the folder of the XML files"
        required_path(data, f"{split}_annotations", what)
    folder = find_annotations(root, images)
    if annotations is not None and not (root / annotations).exists() and not (root / VOC_LISTS).is_dir():
        raise DataError(
            f"{root / annotations} does not exist, and {root} has no lists of image names. Correct "
            f"data.{split}_annotations, or set it to {folder} to take all images that have an XML file."
        )
    return folder if annotations is None else root / annotations, folder


def _yolo_labels(data: YoloData, split: Split) -> Path:
    """Return the folder of the text files: as given, or ``labels/...`` for ``images/...``."""
    annotations: str | None = getattr(data, f"{split}_annotations")
    if annotations is not None:
        return required_root(data) / annotations
    images: str = getattr(data, f"{split}_images")
    parts = list(PurePosixPath(images).parts)
    if "images" not in parts:
        raise UsageError(
            f"data.{split}_annotations is not set, and {images} has no part 'images' to be replaced by 'labels'. Give "
            f"the folder of the text files, relative to data.root."
        )
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return required_root(data) / PurePosixPath(*parts)
