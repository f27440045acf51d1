"""Annotations of a detection dataset that annotation tools export: labelme, CVAT, Label Studio, Open Images."""

from pathlib import Path

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.cvat import read_cvat
from splitnest.data.formats.label_studio import read_label_studio
from splitnest.data.formats.labelme import read_labelme
from splitnest.data.formats.open_images import read_open_images
from splitnest.data.paths import optional_path, required_path
from splitnest.recipe import Split
from splitnest.recipe.data import CvatData, LabelmeData, LabelStudioData, OpenImagesData
from splitnest.structures.categories import Categories

ToolData = LabelmeData | CvatData | LabelStudioData | OpenImagesData


def read_tool_export(data: ToolData, split: Split, categories: Categories | None) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a split, its annotations, and the file or folder they are from.

    Args:
        data: Data section of a recipe.
        split: Split of the dataset.
        categories: Classes of the model; None takes those of the files.

    Raises:
        UsageError: ``data.root`` or a path is not set.
        DataError: The annotations cannot be read, or have other classes than the model.
    """
    images = required_path(data, f"{split}_images", "the image folder")
    if isinstance(data, LabelmeData):
        source = optional_path(data, f"{split}_annotations") or images
        return images, read_labelme(source, images, categories), source
    source = required_path(data, f"{split}_annotations", "the annotation file")
    match data:
        case CvatData():
            return images, read_cvat(source, images, categories), source
        case LabelStudioData():
            return images, read_label_studio(source, images, categories), source
        case OpenImagesData():
            return images, read_open_images(source, images, categories), source
