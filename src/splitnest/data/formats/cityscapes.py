"""Cityscapes: a folder of images for each city, with label maps of label ids or of training ids.

Source: cityscapesScripts, ``helpers/labels.py`` and section "Dataset structure" of its README.
"""

from pathlib import Path

from splitnest.data.formats.label_map_folders import LabelMapFiles
from splitnest.data.formats.label_maps import LabelEncoding
from splitnest.data.images.listing import list_images
from splitnest.data.paths import existing_folder
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories, match_categories
from splitnest.structures.class_tables import class_table

NUM_LABEL_IDS = 34
"""Number of label ids, 19 of which have a training id. The id of license plates, -1, is not in label maps."""

_IMAGE = "_leftImg8bit.png"
_TRAIN_IDS, _LABEL_IDS = "_gtFine_labelTrainIds.png", "_gtFine_labelIds.png"


def read_cityscapes(images: Path, annotations: Path | None, categories: Categories) -> LabelMapFiles:
    """List the images and label maps of one split.

    The kind of label maps that more images have is used; label maps of training ids if both are equally common. Label
    ids without a training id become unlabeled.

    Args:
        images: Folder of the split in ``leftImg8bit``, with a folder for each city.
        annotations: Folder of the split in ``gtFine``; None for a test set.
        categories: Classes of the model.

    Raises:
        DataError: A folder does not exist, or the model does not have the classes of Cityscapes.
    """
    table = class_table("cityscapes")
    categories = match_categories(table, categories, Path("Cityscapes"))
    names = list_images(existing_folder(images, "images")).names
    files = [images / name for name in names if name.endswith(_IMAGE) and name.count("/") == 1]
    unlabeled = SemanticSegmentation.unlabeled(categories)
    dtype = SemanticSegmentation.label_dtype(categories)
    label_of_id = {category.id: label for label, category in enumerate(categories)}
    by_label_id = LabelEncoding(dict.fromkeys([*range(NUM_LABEL_IDS), 255], unlabeled) | label_of_id, dtype)
    if annotations is None:
        return LabelMapFiles(images, files, None, [by_label_id] * len(files), categories)
    existing_folder(annotations, "label maps")
    stems = [file.relative_to(images).as_posix().removesuffix(_IMAGE) for file in files]
    train_id_maps, label_id_maps = (
        [annotations / f"{stem}{suffix}" for stem in stems] for suffix in (_TRAIN_IDS, _LABEL_IDS)
    )
    if sum(path.is_file() for path in train_id_maps) < sum(path.is_file() for path in label_id_maps):
        return LabelMapFiles(images, files, label_id_maps, [by_label_id] * len(files), categories)
    label_of_train_id = {train_id: label_of_id[category.id] for train_id, category in enumerate(table)}
    by_train_id = LabelEncoding({255: unlabeled} | label_of_train_id, dtype)
    return LabelMapFiles(images, files, train_id_maps, [by_train_id] * len(files), categories)
