"""Pose dataset: images with persons, their keypoints, and the person boxes for evaluation.

Shapes: N annotations, K keypoints, P persons of one image.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.class_counts import ClassCounts
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.formats.coco_keypoints import KeypointFile
from splitnest.data.pose.person_boxes import NO_BOXES, PersonBoxes, PersonBoxFile, is_croppable
from splitnest.structures import Poses
from splitnest.structures.boxes import xywh_to_xyxy
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import Skeleton


class PoseDataset(DetectionDataset):
    """Images with persons and their keypoints.

    Args:
        images_dir: Folder of the images; None for a subclass that has the pixels itself.
        persons: Boxes and keypoints of the persons.
        annotation_path: Path of the annotation file, for messages.
        categories: Classes of the model.
        skeleton: Keypoints of the model, the same for all classes.

    Attributes:
        detections: Person boxes for evaluation; None, the default, uses those of the ground truth.
        notes: Further notes on the dataset, one line each.
        keypoints: float64 ``[N, K, 3]``, as in ``KeypointFile``.
        num_keypoints: int64 ``[N]``, as in ``KeypointFile``.
        head_sizes: float64 ``[N]``, as in ``KeypointFile``.
        crowd_indices: float64 ``[I]``, as in ``KeypointFile``.

    Raises:
        DataError: Same conditions as ``DetectionDataset``.
    """

    def __init__(
        self,
        images_dir: str | Path | None,
        persons: KeypointFile,
        annotation_path: str | Path,
        categories: Categories,
        skeleton: Skeleton,
    ) -> None:
        super().__init__(images_dir, persons.file, annotation_path, _with_ids(categories, persons.file.categories))
        self.categories = skeleton.with_class(self.categories)
        self.skeleton = skeleton
        self.detections: PersonBoxFile | None = None
        self.notes: list[str] = []
        self.keypoints, self.num_keypoints = persons.keypoints, persons.num_keypoints
        self.head_sizes, self.crowd_indices = persons.head_sizes, persons.crowd_indices

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """Boxes of the annotations, xyxy ``[N, 4]``, clipped to the last pixels of their images, as in mmpose."""
        last = (self.file.sizes_hw[self.file.image_index][:, [1, 0, 1, 0]] - 1).astype(np.float64)
        return np.clip(xywh_to_xyxy(self.file.boxes_xywh), 0, last)

    @cached_property
    def has_pose(self) -> NDArray[np.bool_]:
        """Whether each annotation takes part in training and in evaluation with ground-truth boxes, ``[N]``.

        It is no crowd region and has a labeled keypoint and a box with area (mmpose ``_is_valid_instance``).
        """
        has_position = self.keypoints[..., :2].max(axis=(1, 2), initial=0) > 0
        return ~self.file.iscrowd & (self.num_keypoints > 0) & is_croppable(self.boxes) & has_position

    def people(self, index: int) -> PersonBoxes:
        """Return the person boxes of one image for evaluation."""
        if self.detections is not None:
            boxes = self.detections.by_id.get(self.image_id(index))
            return boxes or self.detections.by_path_or_name(str(self.images_dir / self.name(index))) or NO_BOXES
        rows = self.rows_with_pose(index)
        return PersonBoxes(self.boxes[rows], np.ones(len(rows)), self._labels[rows])

    def poses(self, index: int) -> Poses:
        """Return the persons of one image as poses; labeled keypoints have score 1, others 0."""
        rows = self.rows_with_pose(index)
        return Poses(
            keypoints=self.keypoints[rows, :, :2].astype(np.float32),
            scores=(self.keypoints[rows, :, 2] > 0).astype(np.float32),
            boxes=self.boxes[rows].astype(np.float32),
            box_scores=np.ones(len(rows), np.float32),
            labels=self._labels[rows],
            image_size=self.size_hw(index),
            categories=self.categories,
        )

    def class_counts(self) -> list[ClassCounts]:
        """Return how many persons with keypoints each class has, and how many of them each keypoint is labeled on."""
        if not self.has_annotations:
            return []
        labeled = (self.keypoints[self.has_pose, :, 2] > 0).sum(axis=0).tolist()
        of_keypoints = dict(zip(self.skeleton.names, labeled, strict=True))
        return [
            self.count_instances(self.has_pose, "persons with keypoints"),
            ClassCounts(self.source, "labeled keypoints", of_keypoints, kind="keypoints"),
        ]

    @property
    def problems(self) -> list[str]:
        """Anomalies of the annotations and of the person boxes, one line each."""
        lines = super().problems + self.notes
        if self.detections is None:
            return lines
        unknown = len(self.detections.by_id.keys() - set(self.image_ids))
        if unknown:
            lines.append(f"{self.detections.path} has persons in {unknown} images that {self.source} does not list")
        if self.detections.num_dropped:
            lines.append(f"{self.detections.path} has {self.detections.num_dropped} boxes without area: ignored")
        return lines

    def rows_with_pose(self, index: int) -> NDArray[np.int64]:
        """Return the rows of the annotations of one image that take part in evaluation with ground-truth boxes."""
        rows = self.rows(index)
        return rows[self.has_pose[rows]]


def _with_ids(categories: Categories, of_file: Sequence[tuple[int, str]]) -> Categories:
    """Return the classes of a model with the ids of a file, in any order; classes that it lacks get unused ids."""
    id_of = {name: id_ for id_, name in of_file}
    first_unused = max(id_of.values(), default=0) + 1
    items = [
        replace(category, id=id_of.get(category.name, first_unused + index))
        for index, category in enumerate(categories)
    ]
    return replace(categories, items=tuple(items))
