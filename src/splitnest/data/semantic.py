"""Opening the data of semantic segmentation that a recipe names."""

from splitnest.data.categories import Categories
from splitnest.data.cityscapes import read_cityscapes
from splitnest.data.dataset import Split, open_scenes, required_path, required_root
from splitnest.data.folders import ade20k_code, index_code, read_folders
from splitnest.data.scenes.semantic import SceneSemantic
from splitnest.data.semantic_labels import SemanticDataset
from splitnest.errors import UsageError
from splitnest.recipe.data import Data


def open_semantic(data: Data, split: Split, classes: Categories) -> SemanticDataset:
    """Return the photographs and label maps of one split of a segmentor's data.

    Args:
        data: Section of the recipe. A validation set without annotations has photographs alone.
        split: For training, or for validation.
        classes: Classes of the model.

    Raises:
        UsageError: ``data.root`` or a path is not set, or ``data.format`` has no label maps.
        DataError: The data set cannot be read, has no photographs, or does not have the classes of the model.
    """
    if data.format == "scenes":
        assert data.scenes is not None  # the schema sees to it
        return SceneSemantic(open_scenes(data.scenes, split), classes)
    if data.format not in ("cityscapes", "ade20k", "folders"):
        raise UsageError(
            f"data.format {data.format} has no class for every pixel: for semantic segmentation it must be cityscapes, "
            f"ade20k, folders or scenes."
        )
    root = required_root(data)
    images = root / required_path(data, f"{split}_images", "the folder of the photographs")
    annotations = root / data.val_annotations if split == "val" and data.val_annotations else None
    if split == "train":
        annotations = root / required_path(data, "train_annotations", "the folder of the label maps")
    if data.format == "cityscapes":
        return read_cityscapes(images, annotations, classes)
    if data.format == "ade20k":
        return read_folders(images, annotations, ade20k_code(classes), classes)
    palette = data.palette if data.label_maps == "colors" else None
    return read_folders(images, annotations, index_code(classes, palette, data.ignore_label), classes)
