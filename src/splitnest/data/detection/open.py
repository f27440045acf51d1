"""Opening of the detection or panoptic dataset that a recipe describes."""

from pathlib import Path, PurePosixPath

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.panoptic import CocoPanoptic
from splitnest.data.formats.voc import read_voc
from splitnest.data.formats.yolo import read_yolo
from splitnest.data.paths import required_path, required_root
from splitnest.data.scenes.detection import SceneDetection
from splitnest.data.scenes.open import open_scenes
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.errors import UsageError
from splitnest.recipe import Split
from splitnest.recipe.data import CocoData, DetectionData, SceneData, VocData, YoloData
from splitnest.structures.categories import Categories

VOC_ANNOTATIONS = "Annotations"
"""Folder of the XML files in the layout of Pascal VOC."""


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
    images = required_path(data, f"{split}_images", "the image folder")
    match data:
        case YoloData():
            labels = _yolo_labels(data, split)
            return DetectionDataset(images, read_yolo(labels, images, categories), labels, categories)
        case VocData():
            names = required_path(
                data, f"{split}_annotations", "the list of image names, such as ImageSets/Main/test.txt"
            )
            file = read_voc(names, required_root(data) / VOC_ANNOTATIONS, images, categories)
            return DetectionDataset(images, file, names, categories)
        case CocoData():
            annotations = required_path(data, f"{split}_annotations", "the annotation file")
            if not data.stuff:
                return DetectionDataset.from_coco(images, annotations, categories)
            instances: str | None = getattr(data, f"{split}_instances")
            instances_file = None if instances is None else required_root(data) / instances
            return CocoPanoptic(images, annotations, categories, instances_file)


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
