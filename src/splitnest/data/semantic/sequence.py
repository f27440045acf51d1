"""Semantic segmentation dataset from Python: a sequence of images with a label map each."""

from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from splitnest.data.class_counts import ClassCounts
from splitnest.data.formats.label_maps import LabelEncoding
from splitnest.data.items import Items, SequenceImages, other_size
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.data.semantic.label_histogram import count_labels
from splitnest.errors import DataError
from splitnest.structures.categories import Categories


class SequenceSemantic(SequenceImages, SemanticDataset):
    """Images with a label map: an integer array or tensor ``[H, W]``, or a Pillow image of one channel.

    Args:
        items: Images and label maps.
        categories: Classes of the model.
        encoding: Encoding of the label maps.
    """

    def __init__(self, items: Items, categories: Categories, encoding: LabelEncoding) -> None:
        self._items, self._encoding = items, encoding
        self.categories, self.source = categories, items.name

    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        """Return the label map of an image, ``[H, W]``."""
        cite, target = self.name(index), self._items.target(index)
        if isinstance(target, Tensor | Image.Image):
            target = np.asarray(target.detach().cpu() if isinstance(target, Tensor) else target)
        if not isinstance(target, np.ndarray) or target.ndim != 2 or target.dtype.kind not in "iub":
            raise DataError(
                f"The target of {cite} is no label map. Give the class index of each pixel as an integer array [H, W]."
            )
        size_hw = self._items.size_hw(index)
        if target.shape != size_hw:
            raise other_size(cite, size_hw, (target.shape[0], target.shape[1]))
        return self._encoding.decode(target.astype(np.int64) if target.dtype == bool else target, PurePath(cite))

    def class_counts(self) -> list[ClassCounts]:
        """Return the number of labeled pixels by class; a large dataset is sampled.

        Items are read in this thread: a dataset from Python may not be made for several.
        """
        return [count_labels(self.labels, len(self), self.categories, self.source, threads=0)]
