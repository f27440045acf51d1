"""COCO average precision of keypoints, equal to pycocotools."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.pose.crop import region_of_box
from splitnest.data.pose.dataset import PoseDataset
from splitnest.files import write_json
from splitnest.metrics.coco_evaluation import mean_defined
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.keypoint_evaluation import ALL, Selection, areas, curves, evaluated
from splitnest.metrics.matches import Matches
from splitnest.metrics.oks import oks_nms
from splitnest.metrics.report.analysis import Analysis, Slices
from splitnest.metrics.report.keypoints import Persons, analyze_keypoints
from splitnest.metrics.statistics.average_precision import PrecisionStatistics
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.recipe.inputs import PoseInput
from splitnest.structures import Poses

METRICS = ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large")
"""Metrics in the order of pycocotools ``summarize``; medium persons have 32 x 32 to 96 x 96 square pixels."""


class KeypointEvaluator(Evaluator):
    """COCO metrics of poses.

    By the published protocol, the score of a person is the box score times the mean of the keypoint scores over 0.2,
    and duplicates are suppressed by OKS.

    Args:
        dataset: Images with persons, or without annotations.
        input_cfg: Section ``input`` of the recipe: OKS suppression is relative to the area of the crop regions.
        area_of_box: Whether the area of a person in OKS is that of its box times 0.53, for datasets without areas.
    """

    def __init__(self, dataset: PoseDataset, input_cfg: PoseInput, area_of_box: bool = False) -> None:
        self._dataset, self._input_cfg = dataset, input_cfg
        self._selection = Selection(area_of_box=area_of_box)
        self._sigmas = np.array(dataset.skeleton.sigmas)
        self._known = set(dataset.image_ids)
        self._rows: dict[int, list[dict[str, Any]]] = {}

    def update(self, image_id: int, result: Poses) -> None:
        """Add the poses of one image. Images that are never added count as images without poses.

        Raises:
            ValueError: There is no such image, it was added before, or it has other keypoints.
        """
        if image_id not in self._known or image_id in self._rows:
            raise ValueError(f"there is no image {image_id}, or it was added before")
        if result.keypoints.shape[1] != len(self._sigmas):
            raise ValueError(f"image {image_id} has {result.keypoints.shape[1]} keypoints, not {len(self._sigmas)}")
        areas = np.array([self._area(box) for box in result.boxes], np.float64)
        kept = oks_nms(result.keypoints, result.person_scores(), areas, self._sigmas)
        poses = replace(result[kept], categories=self._dataset.categories)  # with the ids of the file
        self._rows[image_id] = poses.to_coco(image_id)

    def state(self) -> dict[int, list[dict[str, Any]]]:
        """Return the poses of each image."""
        return self._rows

    def merge(self, state: dict[int, list[dict[str, Any]]]) -> None:
        """Add the poses of other images."""
        rows = self._rows | state
        self._rows = {id_: rows[id_] for id_ in self._dataset.image_ids if id_ in rows}

    def results(self) -> list[dict[str, Any]]:
        """Return the poses as rows of a COCO keypoint results file."""
        return [row for rows in self._rows.values() for row in rows]

    def compute(self) -> dict[str, float]:
        """Return the ten COCO metrics of keypoints, from 0 to 1; -1 where the file has no such persons.

        They are means over classes if there are several, as in COCO.

        ``ap`` is the mean over OKS thresholds from 0.5 to 0.95 with at most 20 persons per image; ``ap50`` and ``ap75``
        are of one threshold; ``ap_medium`` and ``ap_large`` of one area range; ``ar`` and so on are average recall.

        Raises:
            DataError: The file has no annotations.
        """
        return keypoint_metrics(self._dataset, self.results(), self._selection)

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``ap`` and ``ar`` of each class by its name if there are several; -1 for a class without persons."""
        names = [name for _, name in self._dataset.file.categories]
        if len(names) < 2:
            return {}
        precision, recall = curves(self._dataset, self.results(), self._selection)
        return {
            name: {"ap": mean_defined(precision[:, :, k, 0]), "ar": mean_defined(recall[:, k, 0])}
            for k, name in enumerate(names)
        }

    def result(self, image_id: int) -> Poses | None:
        """Return the poses of an image that was added, with their score as score of the box, and all keypoints."""
        rows = self._rows.get(image_id)
        if rows is None:
            return None
        num_keypoints = len(self._sigmas)
        keypoints = np.array([row["keypoints"] for row in rows], np.float32).reshape(-1, num_keypoints, 3)[..., :2]
        label_of = {id_: label for label, id_ in enumerate(self._dataset.categories.ids)}
        corners = [keypoints.min(axis=1, initial=np.inf), keypoints.max(axis=1, initial=-np.inf)]
        return Poses(
            keypoints=keypoints,
            scores=np.ones((len(rows), num_keypoints), np.float32),
            boxes=np.concatenate(corners, axis=1).astype(np.float32),
            box_scores=np.array([row["score"] for row in rows], np.float32),
            image_size=self._dataset.size_hw(self._dataset.image_ids.index(image_id)),
            labels=np.array([label_of[row["category_id"]] for row in rows], np.int64),
            categories=self._dataset.categories,
        )

    def statistics(self) -> ImageStatistics:
        """Return the poses matched to persons."""
        return PrecisionStatistics(Matches.of(evaluated(self._dataset, self.results(), self._selection)))

    def analyze(self, slices: Slices) -> Analysis:
        """Return OKS by keypoint and by size, and the worst images.

        Raises:
            DataError: The dataset has no annotations.
        """
        dataset, rows = self._dataset, self.results()
        evaluation = evaluated(dataset, rows, self._selection)
        kept = ~dataset.file.iscrowd
        persons = Persons(
            dataset.file.ids[kept],
            dataset.keypoints[kept],
            areas(dataset, self._selection.area_of_box)[kept],
            dataset.skeleton.names,
            self._sigmas,
        )
        return analyze_keypoints(evaluation, persons, rows, Matches.of(evaluation), slices)

    def write(self, path: str | Path) -> None:
        """Write the poses as a COCO keypoint results file for the evaluation server."""
        write_json(path, self.results())

    def _area(self, box: NDArray[np.float32]) -> float:
        return float(np.prod(region_of_box(box, self._input_cfg).size))


def keypoint_metrics(dataset: PoseDataset, rows: list[dict[str, Any]], selection: Selection = ALL) -> dict[str, float]:
    """Return ``METRICS`` of the rows of a COCO keypoint results file, from 0 to 1; -1 without persons.

    Raises:
        DataError: The dataset has no annotations.
    """
    precision, recall = curves(dataset, rows, selection)
    selections = [(slice(None), 0), (slice(0, 1), 0), (slice(5, 6), 0), (slice(None), 1), (slice(None), 2)]
    metrics = [
        mean_defined(values[thresholds, ..., area]) for values in (precision, recall) for thresholds, area in selections
    ]
    return dict(zip(METRICS, metrics, strict=True))
