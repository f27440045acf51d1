"""Synthetic scenes as a panoptic segmentation dataset, without files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.detection.panoptic import PanopticDataset
from splitnest.data.scenes.classes import CATEGORIES
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.detection import SCENES, SceneDetection
from splitnest.data.scenes.scene import Scene
from splitnest.structures.categories import Categories, match_panoptic_categories, things_of
from splitnest.structures.panoptic_labels import PanopticLabels


class ScenePanoptic(SceneDetection, PanopticDataset):
    """Scenes with their instances and a segment for each pixel: 307 kB each at 240 x 320.

    Args:
        scenes: Scenes.
        categories: Thing classes and then stuff classes of the model; None uses those of the scenes.

    Raises:
        DataError: The model has other classes than the scenes.
    """

    def __init__(self, scenes: Scenes, categories: Categories | None = None) -> None:
        self.panoptic_categories = CATEGORIES
        if categories is not None:
            self.panoptic_categories = match_panoptic_categories(CATEGORIES, categories, Path(SCENES))
        # At most 8 instances and 6 stuff classes, numbered from 1.
        self._segments = np.empty((len(scenes), *scenes.size_hw), np.uint8)
        self._segment_labels: list[NDArray[np.int64]] = []
        super().__init__(scenes, things_of(self.panoptic_categories))

    def labels(self, index: int) -> PanopticLabels:
        """Return the segments of one scene."""
        labels = self._segment_labels[index]
        return PanopticLabels(
            segments=self._segments[index].astype(np.int32),
            ids=np.arange(1, len(labels) + 1),
            labels=labels,
            iscrowd=np.zeros(len(labels), bool),
        )

    def _store(self, index: int, scene: Scene) -> None:
        super()._store(index, scene)
        self._segments[index] = scene.segments
        index_of_id = {id_: label for label, id_ in enumerate(self.panoptic_categories.ids)}
        labels = [index_of_id[CATEGORIES[row["category"]].id] for row in scene.segments_info]
        self._segment_labels.append(np.array(labels, np.int64))
