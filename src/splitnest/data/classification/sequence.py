"""Image classification dataset from Python: a sequence of images with a class index each."""

from pathlib import Path

from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.formats.image_folders import ImageList
from splitnest.data.items import Items, SequenceImages, class_index
from splitnest.structures.categories import Categories


class SequenceClassification(SequenceImages, ClassificationDataset):
    """Images with a class index each. All targets are read by the constructor, images when they are used.

    Args:
        items: Images and class indices.
        categories: Classes of the model.

    Raises:
        DataError: An item cannot be used, or its target is no class index.
    """

    def __init__(self, items: Items, categories: Categories) -> None:
        self._items = items
        labels = [
            class_index(items.target(index), len(categories), f"The target of {items.cite(index)}")
            for index in items.indices()
        ]
        super().__init__(Path(), ImageList([], labels), categories)
        self.source = items.name
