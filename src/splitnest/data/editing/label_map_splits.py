"""Splits of datasets of label maps: Cityscapes, ADE20K, and folders of indices, palettes, gray values or colors."""

from collections.abc import Iterator
from typing import Any

from splitnest.data.editing.split_kinds import LabelMapSplit
from splitnest.data.recognition.label_map_folders import MapFolders, find_map_folders
from splitnest.data.recognition.label_maps import (
    is_ade20k,
    map_classes,
    recognize_cityscapes,
    split_map_folders,
)
from splitnest.data.recognition.tree import Tree
from splitnest.data.semantic.dataset import LabelMapDataset
from splitnest.data.semantic.open import open_dataset
from splitnest.errors import tell
from splitnest.recipe.label_map_data import Ade20kData, CityscapesData, LabelMapData, LabelMapFolderData
from splitnest.structures.categories import Categories, from_names, with_colors
from splitnest.structures.class_tables import class_table


def label_map_splits(tree: Tree, format: str) -> Iterator[LabelMapSplit]:
    """Yield the splits of a dataset of label maps.

    Classes are read from the pixels of all label maps.

    Args:
        tree: Files of the dataset.
        format: ``cityscapes`` or ``label_maps``.

    Raises:
        DataError: Label maps cannot be read.
    """
    if format == "cityscapes":
        keys = recognize_cityscapes(tree).data
        for split in ("train", "val"):
            if f"{split}_images" in keys:
                images, maps = keys[f"{split}_images"], keys[f"{split}_annotations"]
                yield _split(tree, CityscapesData, split, images, maps, class_table("cityscapes"), format="cityscapes")
        return
    found_splits = split_map_folders(tree, find_map_folders(tree))
    by_split = dict(sorted(found_splits.items(), key=lambda item: item[0] != "train"))
    if all(map(is_ade20k, by_split.values())):
        for split, pair in by_split.items():
            yield _split(tree, Ade20kData, split, *_folders(pair), class_table("ade20k"), format="ade20k")
        return
    notes: list[str] = []
    found = map_classes(tree, [*by_split.values()], notes, max_maps=None)
    for note in notes:
        tell(f"note: {note}")
    categories = from_names(found.names)
    if "palette" in found.keys:
        categories = with_colors(categories, found.keys["palette"])
    for split, pair in by_split.items():
        yield _split(tree, LabelMapFolderData, split, *_folders(pair), categories, format="folders", **found.keys)


def _folders(pair: MapFolders) -> tuple[str, str]:
    return pair.images or ".", pair.maps or "."


def _split(
    tree: Tree,
    section: type[LabelMapData],
    split: str,
    images: str,
    maps: str,
    categories: Categories,
    **keys: Any,
) -> LabelMapSplit:
    data: Any = section.model_validate(
        {
            "root": str(tree.root),
            "classes": categories.names,
            "train_images": images,
            "train_annotations": maps,
            **keys,
        }
    )
    dataset = open_dataset(data, "train", categories)
    assert isinstance(dataset, LabelMapDataset)
    return LabelMapSplit(None if split == "all" else split, dataset)
