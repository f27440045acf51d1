"""Synthetic scenes as a semantic segmentation dataset, without files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.scenes.classes import CATEGORIES
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.detection import SCENES, SceneImages
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories, match_categories


class SceneSemantic(SceneImages, SemanticDataset):
    """Scenes with a class for each pixel. All are drawn by the constructor and kept: 307 kB each at 240 x 320.

    Args:
        scenes: Scenes.
        categories: Classes of the model; None uses those of the scenes.

    Raises:
        DataError: The model has other classes than the scenes.
    """

    source = SCENES

    def __init__(self, scenes: Scenes, categories: Categories | None = None) -> None:
        self.categories = CATEGORIES
        if categories is not None:
            self.categories = match_categories(CATEGORIES, categories, Path(SCENES))
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
        """Return the name of one scene."""
        return f"scene {index}"

    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        """Return the label map of one scene, ``[H, W]``."""
        return self._labels[index]
