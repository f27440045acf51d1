"""Photographs of people with keypoints, as a pose estimator is trained and evaluated on them.

N annotations, K keypoints, P people of one photograph.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories
from splitnest.data.coco import CocoDetection
from splitnest.data.coco_keypoints import KeypointFile
from splitnest.data.person_boxes import NOBODY, PersonBoxes, PersonBoxFile, have_area
from splitnest.data.skeleton import Skeleton
from splitnest.results.interop import xywh_to_xyxy


class PeopleDataset(CocoDetection):
    """Photographs, the people in them, and whom an estimator looks at.

    Args:
        images_dir: Folder that the file names are relative to; None where a subclass has the pixels.
        annotation_file: Where the annotations are from.
        content: What it holds.
        classes: The class of the model.
        skeleton: Its keypoints.

    Attributes:
        detections: Whom an estimator looks at; None, as at first, for the people of the ground truth.
        remarks: What else is to be known of the data set, one line each.
        keypoints: float64 ``[N, K, 3]``, as of ``KeypointFile``.
        num_keypoints: int64 ``[N]``.

    Raises:
        DataError: As ``CocoDetection``.
    """

    def __init__(
        self,
        images_dir: str | Path | None,
        annotation_file: str | Path,
        content: KeypointFile,
        classes: Categories,
        skeleton: Skeleton,
    ) -> None:
        super().__init__(images_dir, annotation_file, classes, content.file)
        self.categories = skeleton.of_class(self.categories)
        self.skeleton = skeleton
        self.detections: PersonBoxFile | None = None
        self.remarks: list[str] = []
        self.keypoints, self.num_keypoints = content.keypoints, content.num_keypoints

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """Boxes of the annotations, xyxy ``[N, 4]``, clipped to the last pixels of their photographs, as in mmpose."""
        last = (self.file.sizes_hw[self.file.image_index][:, [1, 0, 1, 0]] - 1).astype(np.float64)
        return np.clip(xywh_to_xyxy(self.file.boxes_xywh), 0, last)

    @cached_property
    def has_pose(self) -> NDArray[np.bool_]:
        """Which annotations are people to learn from and to look at, ``[N]``.

        They are not crowds, and have a labelled keypoint and a box with an area (mmpose ``_is_valid_instance``).
        """
        has_place = self.keypoints[..., :2].max(axis=(1, 2), initial=0) > 0
        return ~self.file.iscrowd & (self.num_keypoints > 0) & have_area(self.boxes) & has_place

    def size_hw(self, index: int) -> tuple[int, int]:
        """Return the height and width of one photograph in pixels."""
        height, width = self.file.sizes_hw[index].tolist()
        return height, width

    def people(self, index: int) -> PersonBoxes:
        """Return whom an estimator looks at in one photograph."""
        if self.detections is not None:
            found = self.detections.by_number.get(self.image_id(index))
            return found or self.detections.named(str(self.images_dir / self.name(index))) or NOBODY
        rows = self.rows(index)
        rows = rows[self.has_pose[rows]]
        return PersonBoxes(self.boxes[rows], np.ones(len(rows)))

    @property
    def problems(self) -> list[str]:
        """What is odd, one line each: of the annotations, and of whom an estimator looks at."""
        found = super().problems + self.remarks
        if self.detections is None:
            return found
        strange = len(self.detections.by_number.keys() - set(self.image_ids))
        if strange:
            found.append(f"{self.detections.path} has people in {strange} photographs that {self.source} does not list")
        if self.detections.without_area:
            found.append(f"{self.detections.path} has {self.detections.without_area} boxes without an area: left out")
        return found
