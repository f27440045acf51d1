"""Drawn scenes as a data set of a detector, without files."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories
from splitnest.data.coco import CocoDetection
from splitnest.data.coco_file import CocoFile, build_coco
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.scene import Scene, SceneObject


class DrawnPhotographs:
    """The pixels of scenes, in place of files."""

    _images: NDArray[np.uint8]

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels of one scene, uint8 RGB ``[H, W, 3]``."""
        return self._images[index]

    def check_files(self) -> list[str]:
        """List the missing files: scenes have none that could miss."""
        return []


class SceneDetection(DrawnPhotographs, CocoDetection):
    """Scenes with their objects in COCO's terms. All are drawn when this is made, and kept: 230 kB each at 240 x 320.

    Args:
        scenes: What is drawn.
        classes: Classes of the model; None takes those of the scenes.

    Raises:
        DataError: The classes of the model are not those of the scenes.
    """

    def __init__(self, scenes: Scenes, classes: Categories | None = None) -> None:
        self._images = np.empty((len(scenes), *scenes.size_hw, 3), np.uint8)
        annotations: list[dict[str, Any]] = []
        for index, scene in enumerate(scenes):
            self._keep(index, scene)
            annotations += [annotation(one, index + 1, scenes.categories) for one in scene.objects]
        super().__init__(None, "scenes", classes, coco_of(scenes, scenes.categories, annotations))

    def _keep(self, index: int, scene: Scene) -> None:
        """Store what is not an annotation of an object."""
        self._images[index] = scene.image


def coco_of(scenes: Scenes, categories: Categories, annotations: Iterable[dict[str, Any]]) -> CocoFile:
    """Return scenes as a COCO file with these annotations; images are numbered from 1."""
    images = [(index + 1, f"scene {index}", *scenes.size_hw) for index in range(len(scenes))]
    return build_coco("scenes", images, [(category.id, category.name) for category in categories], annotations)


def annotation(one: SceneObject, image_id: int, categories: Categories) -> dict[str, Any]:
    """Return an object as in a COCO file."""
    x1, y1, x2, y2 = one.box.tolist()
    return {
        "image_id": image_id,
        "category_id": categories[one.label].id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": int(one.mask.sum()),
        "segmentation": one.polygons,
    }
