"""Opening of the detection or panoptic dataset that a recipe describes."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.panoptic import CocoPanoptic
from splitnest.data.detection.panoptic_parts import ConcatenatedPanoptic
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.concatenation import concatenate
from splitnest.data.formats.image_lists import limited_annotations
from splitnest.data.parts import Parts
from splitnest.data.paths import optional_path, required_path
from splitnest.data.scenes.detection import SceneDetection
from splitnest.data.scenes.open import open_scenes
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.errors import DataError, UsageError, first_few
from splitnest.recipe import DetectionRecipe, Split
from splitnest.recipe.data import CocoData, DetectionData, DetectionFileData, SceneData
from splitnest.recipe.file_data import FILE, SPLITS
from splitnest.structures.categories import Categories


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
    opened = [_format(data).read_part(part, split, categories) for part in data.parts(split)]
    images, files, origins = map(list, zip(*opened, strict=True))
    image_list = optional_path(data, f"{split}_list")
    if len(opened) == 1:
        file = files[0] if image_list is None else limited_annotations(files[0], image_list)
        return DetectionDataset(images[0], file, origins[0], categories)
    return _concatenated(files, Parts(images, origins), categories, image_list)


class _Format(Protocol):
    """Module of a format: ``data/formats/NAME.py`` for ``data.format: NAME``."""

    def read_part(self, data: Any, split: Split, categories: Categories) -> tuple[Path, AnnotationFile, Path]:
        """Return the image folder of a part, its annotations, and the file or folder they are from."""

    def class_names(self, parts: Sequence[tuple[Any, Split]]) -> tuple[list[str], list[str]]:
        """Return the class names that the files of all parts and splits give, and notes on them."""


def _format(data: DetectionFileData) -> _Format:
    """Return the module of a format; recipes have no other names than those of their sections."""
    module: Any = import_module(f"splitnest.data.formats.{data.format}")
    return cast(_Format, module)


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
    parts = [(part, split) for split in SPLITS if data.has_split(split) for part in data.parts(split)]
    names, notes = _format(data).class_names(parts)
    if not names:
        raise DataError(f"The annotations of {data.root} have no classes. List the class names in data.classes.")
    return recipe.model_copy(update={"data": data.model_copy(update={"classes": tuple(names)})}), notes
