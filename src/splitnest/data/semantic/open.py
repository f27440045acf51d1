"""Opening of the semantic segmentation dataset that a recipe describes."""

from pathlib import Path

from splitnest.data.formats.cityscapes import read_cityscapes
from splitnest.data.formats.concatenation import concatenate_label_maps
from splitnest.data.formats.image_lists import limited_label_maps
from splitnest.data.formats.label_map_folders import (
    LabelMapFiles,
    index_encoding,
    read_folders,
    reduced_zero_encoding,
)
from splitnest.data.parts import Parts
from splitnest.data.paths import optional_path, required_path
from splitnest.data.scenes.open import open_scenes
from splitnest.data.scenes.semantic import SceneSemantic
from splitnest.data.semantic.dataset import LabelMapDataset, SemanticDataset
from splitnest.errors import DataError
from splitnest.recipe import Split
from splitnest.recipe.data import SceneData
from splitnest.recipe.label_map_data import CityscapesData, LabelMapData, LabelMapFolderData, SemanticData
from splitnest.structures.categories import Categories


def open_dataset(data: SemanticData, split: Split, categories: Categories) -> SemanticDataset:
    """Return one split of a semantic segmentation dataset.

    Args:
        data: Data section of a recipe. A validation split without annotations is a test set.
        split: Split of the dataset.
        categories: Classes of the model.

    Raises:
        UsageError: ``data.root`` or a path is not set.
        DataError: The dataset cannot be read, has no images, or has other classes than the model.
    """
    if isinstance(data, SceneData):
        return SceneSemantic(open_scenes(data, split), categories)
    files = [_read_part(part, split, categories) for part in data.parts(split)]
    image_list = optional_path(data, f"{split}_list")
    if len(files) == 1:
        return LabelMapDataset(files[0] if image_list is None else limited_label_maps(files[0], image_list))
    folders = [each.folder for each in files]
    parts = Parts(folders, folders)
    concatenated = concatenate_label_maps(files, parts)
    if image_list is not None:
        concatenated = limited_label_maps(concatenated, image_list)
    dataset = LabelMapDataset(concatenated, parts.source)
    dataset.inputs = parts.origins
    return dataset


def _read_part(data: LabelMapData, split: Split, categories: Categories) -> LabelMapFiles:
    images, annotations = required_path(data, f"{split}_images", "the image folder"), _annotations(data, split)
    match data:
        case CityscapesData():
            files = read_cityscapes(images, annotations, categories)
        case LabelMapFolderData(reduce_zero_label=False):
            palette = data.palette if data.label_maps == "colors" else None
            encoding = index_encoding(categories, palette, data.ignore_label, data.ignore_colors)
            files = read_folders(images, annotations, encoding, categories)
        case _:
            files = read_folders(images, annotations, reduced_zero_encoding(categories), categories)
    if not files.images:
        raise DataError(f"{images} has no images in the layout of data.format. Check the path.")
    return files


def _annotations(data: LabelMapData, split: Split) -> Path | None:
    if split == "train":
        return required_path(data, "train_annotations", "the folder of the label maps")
    return optional_path(data, "val_annotations")
