"""Synthetic scenes as a detection dataset, without files."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.formats.annotation_columns import from_rows
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.scene import Scene, SceneObject
from splitnest.structures.categories import Categories

SCENES = "scenes"
"""Name of the dataset in messages."""


class SceneImages:
    """Pixels of scenes in memory instead of files; a mixin for datasets."""

    _images: NDArray[np.uint8]

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels of one scene, uint8 RGB ``[H, W, 3]``."""
        return self._images[index]

    def path(self, index: int) -> None:
        """Return None: scenes have no files."""

    def check_files(self) -> list[str]:
        """Return an empty list: scenes have no files."""
        return []


class SceneDetection(SceneImages, DetectionDataset):
    """Scenes with their instances. All are drawn by the constructor and kept: 230 kB each at 240 x 320.

    Args:
        scenes: Scenes.
        categories: Classes of the model; None uses those of the scenes.

    Raises:
        DataError: The model has other classes than the scenes.
    """

    def __init__(self, scenes: Scenes, categories: Categories | None = None) -> None:
        self._images = np.empty((len(scenes), *scenes.size_hw, 3), np.uint8)
        rows: list[dict[str, Any]] = []
        for index, scene in enumerate(scenes):
            self._store(index, scene)
            rows += [annotation_row(instance, index + 1, scenes.categories) for instance in scene.objects]
        super().__init__(None, annotation_file(scenes, scenes.categories, rows), SCENES, categories)

    def _store(self, index: int, scene: Scene) -> None:
        """Store the pixels of a scene, and in subclasses its labels; drawing it a second time would cost too much."""
        self._images[index] = scene.image


def annotation_file(scenes: Scenes, categories: Categories, rows: Iterable[dict[str, Any]]) -> AnnotationFile:
    """Return the annotations of scenes; images are numbered from 1."""
    images = [(index + 1, f"scene {index}", *scenes.size_hw) for index in range(len(scenes))]
    return from_rows(SCENES, images, [(category.id, category.name) for category in categories], rows)


def annotation_row(instance: SceneObject, image_id: int, categories: Categories) -> dict[str, Any]:
    """Return an instance as an annotation of a COCO file."""
    x1, y1, x2, y2 = instance.box.tolist()
    return {
        "image_id": image_id,
        "category_id": categories[instance.label].id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": int(instance.mask.sum()),
        "segmentation": instance.polygons,
    }
