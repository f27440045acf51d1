"""Opening of the detection or panoptic dataset that a recipe describes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.panoptic import CocoPanoptic
from splitnest.data.detection.panoptic_parts import ConcatenatedPanoptic
from splitnest.data.detection.tool_exports import ToolData, read_tool_export
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import read_coco
from splitnest.data.formats.concatenation import concatenate, merged_categories
from splitnest.data.formats.image_lists import limited_annotations
from splitnest.data.formats.voc import read_voc, voc_class_names
from splitnest.data.formats.voc_files import find_annotations
from splitnest.data.formats.yolo import find_class_names, read_yolo, yolo_class_names
from splitnest.data.parts import Parts, check_same_names
from splitnest.data.paths import existing_folder, optional_path, required_path, required_root, yolo_labels
from splitnest.data.scenes.detection import SceneDetection
from splitnest.data.scenes.open import open_scenes
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.errors import DataError, UsageError, first_few
from splitnest.recipe import DetectionRecipe, Split
from splitnest.recipe.data import CocoData, DetectionData, SceneData, VocData, YoloData
from splitnest.recipe.file_data import FILE, SPLITS, FileData
from splitnest.structures.categories import Categories

F = TypeVar("F", bound=FileData)

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
    if isinstance(data, CocoData) and data.stuff:
        if len(data.parts(split)) > 1 and getattr(data, f"{split}_list") is not None:
            raise UsageError(f"data.{split}_list limits one panoptic file, but there are several. Remove the list.")
        panoptic = [_open_panoptic(part, split, categories) for part in data.parts(split)]
        return panoptic[0] if len(panoptic) == 1 else ConcatenatedPanoptic(panoptic)
    opened = [_read_part(part, split, categories) for part in data.parts(split)]
    if isinstance(data, YoloData):
        _check_class_numbers(required_root(data), [labels for _, _, labels in opened])
    images, files, origins = map(list, zip(*opened, strict=True))
    image_list = optional_path(data, f"{split}_list")
    if len(opened) == 1:
        file = files[0] if image_list is None else limited_annotations(files[0], image_list)
        return DetectionDataset(images[0], file, origins[0], categories)
    return _concatenated(files, Parts(images, origins), categories, image_list)


def _read_part(
    data: CocoData | VocData | YoloData | ToolData, split: Split, categories: Categories
) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a part, its annotations, and the file or folder they are from."""
    images = required_path(data, f"{split}_images", "the image folder")
    match data:
        case YoloData():
            labels = yolo_labels(data, split)
            return images, read_yolo(labels, images, categories), labels
        case VocData():
            source, folder = _voc_source(data, split, images)
            return images, read_voc(source, folder, images, categories), source
        case CocoData():
            annotations = required_path(data, f"{split}_annotations", "the annotation file")
            return existing_folder(images, "images"), read_coco(annotations), annotations
        case _:
            return read_tool_export(data, split, categories)


def _open_panoptic(data: CocoData, split: Split, categories: Categories) -> CocoPanoptic:
    images = required_path(data, f"{split}_images", "the image folder")
    annotations = required_path(data, f"{split}_annotations", "the annotation file")
    instances, image_list = optional_path(data, f"{split}_instances"), optional_path(data, f"{split}_list")
    return CocoPanoptic(images, annotations, categories, instances, image_list)


def _concatenated(
    files: Sequence[AnnotationFile], parts: Parts, categories: Categories, image_list: Path | None
) -> DetectionDataset:
    """Return the dataset of several parts, limited to the images of a list if there is one."""
    files = [file.without_unused(frozenset(categories.names)) for file in files]
    for file, origin in zip(files, parts.origins, strict=True):
        if unknown := [name for _, name in file.categories if name not in categories.names]:
            others = first_few([other for other in parts.origins if other != origin])
            raise DataError(
                f"{origin} and {others} do not have the same classes: {origin} has {first_few(unknown)}, which is not "
                f"a class of the model. Correct the file, or set data.classes to all names, or to 'file'."
            )
    file = concatenate(files, parts, categories)
    if image_list is not None:
        file = limited_annotations(file, image_list)
    dataset = DetectionDataset(parts.folder, file, parts.source, categories)
    dataset.inputs = parts.origins
    return dataset


def _check_class_numbers(root: Path, labels: Sequence[Path]) -> None:
    """Raise a DataError if the parts of a YOLO dataset have lists of class names that differ."""
    found = dict(each for folder in labels if (each := find_class_names(root, folder)) is not None)
    check_same_names(
        list(found.values()), list(found), "class names", "Class numbers mean these names: use the same in all parts."
    )


def with_file_classes(recipe: DetectionRecipe) -> tuple[DetectionRecipe, list[str]]:
    """Return a recipe whose ``data.classes: file`` is replaced by the classes of its annotation files, and notes.

    COCO's categories are taken in the order of their ids, without those that have no annotations; names in VOC's XML
    files in alphabetical order; YOLO's names in the order of ``data.yaml`` or of a list. Those of several files are
    taken together by name.

    Raises:
        UsageError: ``data.root`` or a path is not set, or the dataset has no annotation file.
        DataError: The files cannot be read, or have no classes.
    """
    data = recipe.data
    if data.classes != FILE or isinstance(data, SceneData):
        return recipe, []
    if not any(map(data.has_split, SPLITS)):
        required_path(data, "train_images", "the image folder")
    notes: list[str] = []
    match data:
        case VocData():
            names = sorted(set().union(*(_voc_names(part, split) for part, split in _parts(data))))
        case YoloData():
            names = yolo_class_names(required_root(data), yolo_labels(*_parts(data)[0]))
        case CocoData():
            paths = [required_path(part, f"{split}_annotations", "the annotation file") for part, split in _parts(data)]
            names, notes = _coco_names(paths)
        case _:
            exports = [read_tool_export(part, split, None)[1] for part, split in _parts(data)]
            names = list(dict.fromkeys(name for file in exports for _, name in file.categories))
    if not names:
        raise DataError(f"The annotations of {data.root} have no classes. List the class names in data.classes.")
    return recipe.model_copy(update={"data": data.model_copy(update={"classes": tuple(names)})}), notes


def _parts(data: F) -> list[tuple[F, Split]]:
    """Return the parts of all splits that a recipe has, each with its split."""
    return [(part, split) for split in SPLITS if data.has_split(split) for part in data.parts(split)]


def _coco_names(paths: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Return the names of the categories with annotations in the order of their ids, and a note on the others."""
    files = [read_coco(path) for path in dict.fromkeys(paths)]
    used = {file.categories[index][1] for file in files for index in set(file.category_index.tolist())}
    unused = [f"{name} (id {id_})" for id_, name in merged_categories(files) if name not in used]
    categories = merged_categories([file.without_unused(used) for file in files])
    notes = [f"data.classes=file: categories without annotations are left out: {', '.join(unused)}"] if unused else []
    return [name for _, name in categories if name in used], notes


def _voc_names(data: VocData, split: Split) -> set[str]:
    images = required_path(data, f"{split}_images", "the image folder")
    return voc_class_names(*_voc_source(data, split, images), images)


def _voc_source(data: VocData, split: Split, images: Path) -> tuple[Path, Path]:
    """Return the list of image names, or the folder whose XML files are all taken; and the folder of the XML files."""
    root = required_root(data)
    annotations = optional_path(data, f"{split}_annotations")
    if annotations is not None and annotations.is_dir():
        return annotations, annotations
    if annotations is None and (root / VOC_LISTS).is_dir():
        what = "the list of image names, such as ImageSets/Main/test.txt, or the folder of the XML files"
        required_path(data, f"{split}_annotations", what)
    folder = find_annotations(root, images)
    if annotations is not None and not annotations.exists() and not (root / VOC_LISTS).is_dir():
        raise DataError(
            f"{annotations} does not exist, and {root} has no lists of image names. Correct "
            f"data.{split}_annotations, or set it to {folder} to take all images that have an XML file."
        )
    return annotations or folder, folder
