"""Opening the data set that a recipe names."""

from pathlib import Path, PurePosixPath
from typing import Literal

from splitnest.data.categories import Categories
from splitnest.data.coco import CocoDetection
from splitnest.data.coco_panoptic import CocoPanoptic
from splitnest.data.scenes import Scenes
from splitnest.data.scenes.detection import SceneDetection
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.data.voc import read_voc
from splitnest.data.yolo import read_yolo
from splitnest.errors import UsageError
from splitnest.recipe.data import Data, SceneData

Split = Literal["train", "val"]

VOC_ANNOTATIONS = "Annotations"
"""Folder of the XML files in the layout of VOC."""


def open_dataset(data: Data, split: Split, classes: Categories) -> CocoDetection:
    """Return the photographs and annotations of one split of a detector's data.

    Args:
        data: Section of the recipe.
        split: For training, or for validation.
        classes: Classes of the model; of a panoptic one things, then stuff, and what is returned is then a
            ``PanopticDataset``, too.

    Raises:
        UsageError: ``data.root`` or a path is not set, or ``data.format`` has no objects.
        DataError: The data set cannot be read, or does not have the classes of the model.
    """
    if data.format == "scenes":
        assert data.scenes is not None  # the schema sees to it
        scenes = open_scenes(data.scenes, split)
        return ScenePanoptic(scenes, classes) if data.stuff else SceneDetection(scenes, classes)
    root = required_root(data)
    images = required_path(data, f"{split}_images", "the folder of the photographs")
    if data.format == "yolo":
        labels = getattr(data, f"{split}_annotations") or _labels_beside(images, split)
        return CocoDetection(root / images, root / labels, classes, read_yolo(root / labels, root / images, classes))
    if data.format == "voc":
        names = root / required_path(data, f"{split}_annotations", "the list of names, such as ImageSets/Main/test.txt")
        file = read_voc(names, root / VOC_ANNOTATIONS, root / images, classes)
        return CocoDetection(root / images, names, classes, file)
    if data.format != "coco":
        raise UsageError(
            f"data.format {data.format} has no objects: for detection it must be coco, voc, yolo or scenes."
        )
    annotations = root / required_path(data, f"{split}_annotations", "the annotation file")
    if data.stuff:
        instances = getattr(data, f"{split}_instances")
        return CocoPanoptic(root / images, annotations, classes, instances and root / instances)
    return CocoDetection(root / images, annotations, classes)


def required_root(data: Data) -> Path:
    """Return the folder of the data set.

    Raises:
        UsageError: It is not set.
    """
    if data.root is None:
        raise UsageError("data.root is not set: give the folder of the data set, as in data.root=/data/coco.")
    return Path(data.root)


def required_path(data: Data, key: str, what: str) -> str:
    """Return a path of the data set, relative to its root.

    Args:
        data: Section of the recipe.
        key: In it.
        what: Is at that path, for messages.

    Raises:
        UsageError: It is not set.
    """
    value: str | None = getattr(data, key)
    if value is None:
        raise UsageError(f"data.{key} is not set: give {what}, relative to data.root.")
    return value


def open_scenes(data: SceneData, split: Split) -> Scenes:
    """Return the scenes of one split, which those of the other are not among."""
    if split == "train":
        return Scenes(data.train_count, (data.height, data.width), data.seed)
    return Scenes(data.val_count, (data.height, data.width), data.seed + 1)


def _labels_beside(images: str, split: Split) -> str:
    """Return the folder ``labels/...`` that goes with ``images/...``."""
    parts = list(PurePosixPath(images).parts)
    if "images" not in parts:
        raise UsageError(
            f"data.{split}_annotations is not set, and {images} has no part 'images' to be replaced by 'labels': "
            f"give the folder of the text files, relative to data.root."
        )
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return str(PurePosixPath(*parts))
