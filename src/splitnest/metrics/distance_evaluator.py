"""Evaluator of keypoints by their distance from the annotation."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.pose.dataset import PoseDataset
from splitnest.errors import DataError
from splitnest.files import write_json
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.keypoint_distances import (
    DistanceEvaluation,
    check_sizes,
    distance_statistics,
    distances_to_annotations,
)
from splitnest.metrics.keypoint_evaluation import check_annotated
from splitnest.metrics.report.analysis import Analysis, Slices
from splitnest.metrics.report.distances import analyze_distances
from splitnest.metrics.statistics.ratios import RatioStatistics
from splitnest.structures import Poses

MAX_BOX_DIFFERENCE = 0.01
"""Maximum difference in pixels of a box from that of its annotation: rounding to float32."""

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Keypoints and scores of the persons of an image."""


class DistanceEvaluator(Evaluator):
    """PCK, PCKh, AUC and EPE, or NME, of poses in the boxes of the annotations.

    Args:
        dataset: Images with persons, or without annotations.
        cfg: Metrics.

    Raises:
        UsageError, DataError: Same conditions as ``check_sizes``.
    """

    def __init__(self, dataset: PoseDataset, cfg: DistanceEvaluation) -> None:
        if dataset.has_annotations:
            check_sizes(dataset, cfg)
        self._dataset, self._cfg = dataset, cfg
        self._index_of = {image_id: index for index, image_id in enumerate(dataset.image_ids)}
        self._poses: dict[int, Arrays] = {}

    def update(self, image_id: int, result: Poses) -> None:
        """Add the poses of one image. Images that are never added do not count.

        Raises:
            ValueError: There is no such image, it was added before, or it has other keypoints.
            DataError: The poses are not in the boxes of the annotations.
        """
        if image_id not in self._index_of or image_id in self._poses:
            raise ValueError(f"there is no image {image_id}, or it was added before")
        if result.keypoints.shape[1] != len(self._dataset.skeleton.names):
            raise ValueError(f"image {image_id} has {result.keypoints.shape[1]} keypoints")
        boxes = self._dataset.boxes[self._rows(image_id)]
        if boxes.shape != result.boxes.shape or np.abs(boxes - result.boxes).max(initial=0) > MAX_BOX_DIFFERENCE:
            name = self._dataset.name(self._index_of[image_id])
            raise DataError(
                f"{name}: {len(result)} poses are not in the boxes of its {len(boxes)} persons, but {self._cfg.type} "
                f"compares each person with its own pose. Predict in the boxes of the annotations, or set "
                f"evaluation.type=oks."
            )
        self._poses[image_id] = (result.keypoints, result.scores)

    def state(self) -> dict[int, Arrays]:
        """Return the poses of each image."""
        return self._poses

    def merge(self, state: dict[int, Arrays]) -> None:
        """Add the poses of other images."""
        poses = self._poses | state
        self._poses = {id_: poses[id_] for id_ in self._dataset.image_ids if id_ in poses}

    def compute(self) -> dict[str, float]:
        """Return the metrics: fractions, and ``epe`` in pixels; -1 without labeled keypoints.

        Raises:
            DataError: The dataset has no annotations.
        """
        weights = np.ones((1, len(self._dataset)), np.int64)
        return {name: float(values[0]) for name, values in self.statistics().metrics(weights).items()}

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return nothing: the metrics are not of classes."""
        return {}

    def result(self, image_id: int) -> Poses | None:
        """Return the poses of an image that was added."""
        if image_id not in self._poses:
            return None
        (keypoints, scores), index = self._poses[image_id], self._index_of[image_id]
        rows = self._rows(image_id)
        return Poses(
            keypoints=keypoints,
            scores=scores,
            boxes=self._dataset.boxes[rows].astype(np.float32),
            box_scores=np.ones(len(rows), np.float32),
            image_size=self._dataset.size_hw(index),
            labels=self._dataset.poses(index).labels,
            categories=self._dataset.categories,
        )

    def statistics(self) -> RatioStatistics:
        """Return the sums of each image.

        Raises:
            DataError: The dataset has no annotations.
        """
        check_annotated(self._dataset)
        return distance_statistics(self._dataset, *self._predicted(), self._cfg)

    def analyze(self, slices: Slices) -> Analysis:
        """Return distances by keypoint, metrics of slices, and the worst images.

        Raises:
            DataError: The dataset has no annotations.
        """
        statistics = self.statistics()
        distances = distances_to_annotations(self._dataset, *self._predicted())
        return analyze_distances(self._dataset, distances, statistics, slices)

    def write(self, path: str | Path) -> None:
        """Write the poses as a COCO keypoint results file."""
        results = ((image_id, self.result(image_id)) for image_id in self._poses)
        rows: list[dict[str, Any]] = [row for id_, poses in results if poses is not None for row in poses.to_coco(id_)]
        write_json(path, rows)

    def _predicted(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the rows of the persons of the images that were added, and their predicted keypoints."""
        rows = [self._rows(image_id) for image_id in self._poses]
        shape = (0, len(self._dataset.skeleton.names), 2)
        keypoints = [np.zeros(shape, np.float32), *(keypoints for keypoints, _ in self._poses.values())]
        return np.concatenate([np.zeros(0, np.intp), *rows]), np.concatenate(keypoints)

    def _rows(self, image_id: int) -> NDArray[np.int64]:
        return self._dataset.rows_with_pose(self._index_of[image_id])
