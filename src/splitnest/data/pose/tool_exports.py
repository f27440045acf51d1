"""Keypoints of a pose dataset that annotation tools export: YOLO, labelme, CVAT, Label Studio."""

from pathlib import Path

from splitnest.data.formats.coco_keypoints import KeypointFile
from splitnest.data.formats.cvat import collect_cvat
from splitnest.data.formats.keypoint_points import keypoint_file
from splitnest.data.formats.label_studio import collect_label_studio
from splitnest.data.formats.labelme import collect_labelme
from splitnest.data.formats.yolo import collect_yolo, yolo_labels
from splitnest.data.paths import optional_path, required_path
from splitnest.recipe import Split
from splitnest.recipe.data import KeypointExportData
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import Skeleton


def read_keypoint_export(
    data: KeypointExportData, split: Split, categories: Categories, skeleton: Skeleton
) -> tuple[Path, KeypointFile, Path]:
    """Return the image folder of a part, its persons, and the file or folder they are from.

    Args:
        data: Data section of a part.
        split: Split of the dataset.
        categories: Classes of the model; instances of others are ignored.
        skeleton: Keypoints of the model.

    Raises:
        UsageError: ``data.root`` or a path is not set.
        DataError: The annotations cannot be read, or have other keypoints than the model.
    """
    images = required_path(data, f"{split}_images", "the image folder")
    match data.format:
        case "yolo":
            source = yolo_labels(data, split)
            file, points = collect_yolo(source, images, categories, skeleton)
        case "labelme":
            source = optional_path(data, f"{split}_annotations") or images
            file, points = collect_labelme(source, images)
        case "cvat":
            source = required_path(data, f"{split}_annotations", "the XML file")
            file, points = collect_cvat(source, images)
        case "label_studio":
            source = required_path(data, f"{split}_annotations", "the JSON export")
            file, points = collect_label_studio(source, images)
    return images, keypoint_file(file, points, skeleton, source, categories.names), source
