"""Cityscapes: photographs of streets, a folder a city, with one of two kinds of label maps.

Source: cityscapesScripts, ``helpers/labels.py`` and the README's section on the structure of the data set.
"""

from pathlib import Path

from splitnest.data.categories import Categories, named
from splitnest.data.coco import match_categories
from splitnest.data.label_code import LabelCode
from splitnest.data.label_maps import LabelMaps, existing_folder
from splitnest.data.semantic_labels import unlabelled
from splitnest.results.semantic import SemanticSegmentation

NUM_IDS = 34
"""Label ids from 0 on, of which 19 are trained on; the one of licence plates, -1, is not drawn into maps."""

_PHOTOGRAPH = "_leftImg8bit.png"
_TRAIN_IDS, _IDS = "_gtFine_labelTrainIds.png", "_gtFine_labelIds.png"


def read_cityscapes(images: Path, annotations: Path | None, classes: Categories) -> LabelMaps:
    """Find the photographs and label maps of one split.

    Of maps of train ids and maps of label ids those are taken that more photographs have, train ids where it is equal.
    Of the 34 label ids those without a train id become unlabelled.

    Args:
        images: Folder of the split in ``leftImg8bit``, with a folder for each city.
        annotations: Folder of the split in ``gtFine``; None for photographs alone.
        classes: Classes of the model.

    Raises:
        DataError: A folder does not exist, there are no photographs, or the classes are not those of Cityscapes.
    """
    categories = match_categories(named("cityscapes"), classes, Path("Cityscapes"))
    photographs = sorted(existing_folder(images, "photographs").glob(f"*/*{_PHOTOGRAPH}"))
    none, dtype = unlabelled(categories), SemanticSegmentation.label_dtype(categories)
    label_of_id = {category.id: label for label, category in enumerate(categories)}
    ids = LabelCode(dict.fromkeys([*range(NUM_IDS), 255], none) | label_of_id, dtype)
    if annotations is None:
        return LabelMaps(images, photographs, None, ids, categories)
    existing_folder(annotations, "label maps")
    stems = [photograph.relative_to(images).as_posix().removesuffix(_PHOTOGRAPH) for photograph in photographs]
    by_train_id, by_id = ([annotations / f"{stem}{suffix}" for stem in stems] for suffix in (_TRAIN_IDS, _IDS))
    if sum(path.is_file() for path in by_train_id) < sum(path.is_file() for path in by_id):
        return LabelMaps(images, photographs, by_id, ids, categories)
    label_of_train_id = {train_id: label_of_id[category.id] for train_id, category in enumerate(named("cityscapes"))}
    return LabelMaps(images, photographs, by_train_id, LabelCode({255: none} | label_of_train_id, dtype), categories)
