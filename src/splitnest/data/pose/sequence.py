"""Pose dataset from Python: a sequence of images with persons and their keypoints.

Shapes: G persons of one image, K keypoints.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.detection.sequence import Row, SizedImages, annotation_file, instance_rows
from splitnest.data.formats.coco_keypoints import KeypointFile
from splitnest.data.items import Items, numbers
from splitnest.data.pose.dataset import PoseDataset
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import Skeleton


class SequencePose(SizedImages, PoseDataset):
    """Images with ``Instances`` that have keypoints. All targets are read by the constructor.

    Args:
        items: Images and targets.
        categories: Classes of the model.
        skeleton: Keypoints of the model.

    Raises:
        DataError: An item cannot be used.
    """

    def __init__(self, items: Items, categories: Categories, skeleton: Skeleton) -> None:
        self._items = items
        keypoints: list[NDArray[np.float64]] = []

        def rows_of(index: int, size_hw: tuple[int, int]) -> list[Row]:
            target: Any = items.target(index)
            rows = instance_rows(target, index, size_hw, categories, items.cite(index))
            points = np.zeros((len(rows), len(skeleton.names), 3)) if target.keypoints is None else target.keypoints
            shape = (len(rows), len(skeleton.names), 3)
            keypoints.append(numbers(points, shape, f"The keypoints of {items.cite(index)}"))
            return rows

        file = annotation_file(items, categories, rows_of)
        persons = KeypointFile.of(file, np.concatenate(keypoints))
        super().__init__(None, persons, items.name, categories, skeleton)
