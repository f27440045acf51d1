"""Drawn scenes as data of semantic segmentation, without files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories
from splitnest.data.coco import match_categories
from splitnest.data.scenes.classes import CATEGORIES
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.semantic_labels import SemanticDataset
from splitnest.results.semantic import SemanticSegmentation


class SceneSemantic(SemanticDataset):
    """Scenes with a class for every pixel. All are drawn when this is made, and kept: 307 kB each at 240 x 320.

    Args:
        scenes: What is drawn.
        classes: Classes of the model; None takes those of the scenes.

    Raises:
        DataError: The classes of the model are not those of the scenes.
    """

    source = "scenes"

    def __init__(self, scenes: Scenes, classes: Categories | None = None) -> None:
        self.categories = CATEGORIES
        if classes is not None:
            self.categories = match_categories(CATEGORIES, classes, Path("scenes"))
        dtype = SemanticSegmentation.label_dtype(self.categories)
        label_of_id = {id_: label for label, id_ in enumerate(self.categories.ids)}
        labels = np.array([label_of_id[id_] for id_ in CATEGORIES.ids], dtype)
        self._images = np.empty((len(scenes), *scenes.size_hw, 3), np.uint8)
        self._labels = np.empty((len(scenes), *scenes.size_hw), dtype)
        for index, scene in enumerate(scenes):
            self._images[index], self._labels[index] = scene.image, labels[scene.semantic]

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        """Return what a scene is called."""
        return f"scene {index}"

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels of one scene, uint8 RGB ``[H, W, 3]``."""
        return self._images[index]

    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        """Return the label map of one scene, ``[H, W]``."""
        return self._labels[index]
