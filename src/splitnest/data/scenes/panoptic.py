"""Drawn scenes as panoptic data, without files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories, things_of
from splitnest.data.coco import match_kinds
from splitnest.data.panoptic_labels import PanopticDataset, PanopticLabels
from splitnest.data.scenes.classes import CATEGORIES
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.detection import SceneDetection
from splitnest.data.scenes.scene import Scene


class ScenePanoptic(SceneDetection, PanopticDataset):
    """Scenes with their objects in COCO's terms and a segment for every pixel: 307 kB each at 240 x 320.

    Args:
        scenes: What is drawn.
        classes: Things and then stuff of the model; None takes those of the scenes.

    Attributes:
        categories: Index -> class of the objects: things alone.
        panoptic_categories: Index -> class of the segments: things, then stuff.

    Raises:
        DataError: The classes of the model are not those of the scenes.
    """

    def __init__(self, scenes: Scenes, classes: Categories | None = None) -> None:
        self.panoptic_categories = CATEGORIES
        if classes is not None:
            self.panoptic_categories = match_kinds(CATEGORIES, classes, Path("scenes"))
        # At most 8 objects and 6 kinds of stuff, numbered from 1.
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

    def _keep(self, index: int, scene: Scene) -> None:
        super()._keep(index, scene)
        self._segments[index] = scene.segments
        index_of_id = {id_: label for label, id_ in enumerate(self.panoptic_categories.ids)}
        labels = [index_of_id[CATEGORIES[row["category"]].id] for row in scene.segments_info]
        self._segment_labels.append(np.array(labels, np.int64))
