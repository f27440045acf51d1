"""Writer of labelme annotations: a JSON file beside each image, with polygons, rectangles and points.

Images and JSON files of a split are in ``<split>/``. Shapes of one instance have one ``group_id``: several polygons, or
a rectangle and the points of its keypoints. An RLE becomes one polygon, the outline of its pixels. A hidden keypoint
has the flag ``hidden``, a crowd region is ``difficult``. Numbers are written as they are.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.writers.dataset_writer import DatasetWriter, write_file
from splitnest.data.writers.labeled_image import HIDDEN, Instance, LabeledImage

VERSION = "5.5.0"
"""Version of labelme whose format is written."""


class LabelmeWriter(DatasetWriter):
    """Writer of labelme's layout."""

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image and its JSON file."""
        folder = self.folder / (split or "")
        name = self.files.place(image, folder)
        shapes: list[dict[str, Any]] = []
        for number, instance in enumerate(image.instances, start=1):
            shapes += self._shapes(instance, number, image.size_hw)
        content: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": Path(name).name,
            "imageData": None,
            "imageHeight": image.size_hw[0],
            "imageWidth": image.size_hw[1],
        }
        write_file((folder / name).with_suffix(".json"), json.dumps(content, ensure_ascii=False, indent=2))

    def _shapes(self, instance: Instance, number: int, size_hw: tuple[int, int]) -> list[dict[str, Any]]:
        name, polygons = self.categories[instance.label].name, instance.polygons() if instance.has_mask else []
        if polygons is None:
            outline = instance.outline(size_hw)
            polygons = [outline] if len(outline) else []
        group = number if len(polygons) > 1 or instance.keypoints is not None else None
        further: dict[str, Any] = {} if instance.score is None else {"score": instance.score}
        if instance.iscrowd:
            further["difficult"] = True
        shapes = [_shape(name, "polygon", polygon, group) | further for polygon in polygons]
        if not shapes:
            shapes = [_shape(name, "rectangle", np.array(instance.box_xyxy), group) | further]
        if instance.keypoints is not None:
            named = zip(self.categories.keypoint_names, instance.keypoints, strict=True)
            for keypoint, point in named:
                if point[2] > 0:
                    flags = {"flags": {"hidden": True}} if point[2] == HIDDEN else {}
                    shapes.append(_shape(keypoint, "point", point[:2], group) | flags)
        return shapes


def _shape(label: str, kind: str, points: NDArray[np.float64], group: int | None) -> dict[str, Any]:
    pairs = points.reshape(-1, 2).tolist()
    place = {"label": label, "points": pairs, "group_id": group, "description": ""}
    return {**place, "shape_type": kind, "flags": {}}
