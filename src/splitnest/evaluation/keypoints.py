"""COCO average precision of keypoints, equal to pycocotools."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.person_crop import Region
from splitnest.errors import DataError
from splitnest.evaluation.oks import suppress
from splitnest.files import write_json
from splitnest.recipe.inputs import PoseInput
from splitnest.results import Poses

METRICS = ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large")
"""In the order of pycocotools ``summarize``; medium people have an area of 32 x 32 to 96 x 96 pixels."""


class KeypointEvaluator:
    """Collects poses image by image and holds them against a COCO file.

    By the published protocol, a person's score is that of the box times the mean of the keypoint scores over 0.2, and
    of people who are similar over 0.9 the best one stays.

    Args:
        dataset: Photographs with people, or without annotations.
        facts: ``input`` of the recipe: how people are cut out, whose area their similarity is relative to.
    """

    def __init__(self, dataset: PeopleDataset, facts: PoseInput) -> None:
        self._dataset, self._facts = dataset, facts
        self._sigmas = np.array(dataset.skeleton.sigmas)
        self._known = set(dataset.image_ids)
        self._rows: dict[int, list[dict[str, Any]]] = {}

    def update(self, image_id: int, found: Poses) -> None:
        """Add the people who were found in one image. Images that are never added count as without people.

        Raises:
            ValueError: There is no such image, it was added before, or it has other keypoints.
        """
        if image_id not in self._known or image_id in self._rows:
            raise ValueError(f"there is no image {image_id}, or it was added before")
        if found.keypoints.shape[1] != len(self._sigmas):
            raise ValueError(f"image {image_id} has {found.keypoints.shape[1]} keypoints, not {len(self._sigmas)}")
        areas = np.array([self._area(box) for box in found.boxes], np.float64)
        kept = suppress(found.keypoints, found.person_scores(), areas, self._sigmas)
        rows = found[kept].to_coco(image_id)
        category_id = self._dataset.categories[0].id
        self._rows[image_id] = [{**row, "category_id": category_id} for row in rows]

    def state(self) -> dict[int, list[dict[str, Any]]]:
        """Return the people of each image."""
        return self._rows

    def merge(self, state: dict[int, list[dict[str, Any]]]) -> None:
        """Add the people of other images."""
        both = self._rows | state
        self._rows = {id_: both[id_] for id_ in self._dataset.image_ids if id_ in both}

    def results(self) -> list[dict[str, Any]]:
        """List the people in the form of a COCO keypoint results file."""
        return [row for rows in self._rows.values() for row in rows]

    def compute(self) -> dict[str, float]:
        """Return the ten COCO metrics of keypoints, from 0 to 1; -1 where the file has nobody of the kind.

        ``ap`` is the mean over object keypoint similarities from 0.5 to 0.95 of at most 20 people an image; ``ap50``
        and ``ap75`` are of one similarity, ``ap_medium`` and ``ap_large`` of one range of areas; ``ar`` and so on are
        average recall.

        Raises:
            DataError: The file has no annotations, as that of a test set.
        """
        return keypoint_metrics(self._dataset, self.results())

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return nothing: people are the one class."""
        return {}

    def write(self, path: str | Path) -> None:
        """Write the people as a COCO keypoint results file, which can be handed in to the evaluation server."""
        write_json(path, self.results())

    def _area(self, box: NDArray[np.float32]) -> float:
        return float(np.prod(Region.of_box(box, self._facts.padding).of_shape(self._facts).size))


def keypoint_metrics(dataset: PeopleDataset, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return ``METRICS`` of the rows of a COCO keypoint results file, from 0 to 1; -1 where there is nobody.

    Raises:
        DataError: The data set has no annotations.
    """
    if not dataset.has_annotations:
        raise DataError(
            f"{dataset.source} has no annotations, as the file of a test set: no metric can be had from it. Write the "
            f"poses and hand them in, or take a file with annotations."
        )
    import hotcoco

    truth = hotcoco.COCO(_ground_truth(dataset))
    evaluation = hotcoco.COCOeval(truth, truth.load_res(rows), "keypoints")
    evaluation.params.kpt_oks_sigmas = list(dataset.skeleton.sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    curves: Any = evaluation.eval
    # [T, R, K, A, M] and [T, K, A, M]: similarities from 0.5 to 0.95, areas of all, medium and large people
    precision, recall = (np.asarray(curves[name])[..., 0] for name in ("precision", "recall"))
    chosen = [(slice(None), 0), (slice(0, 1), 0), (slice(5, 6), 0), (slice(None), 1), (slice(None), 2)]
    values = [_mean(values[thresholds, ..., area]) for values in (precision, recall) for thresholds, area in chosen]
    return dict(zip(METRICS, values, strict=True))


def _ground_truth(dataset: PeopleDataset) -> dict[str, Any]:
    file = dataset.file
    images = [
        {"id": id_, "file_name": name, "height": height, "width": width}
        for id_, name, (height, width) in zip(
            file.image_ids.tolist(), file.file_names, file.sizes_hw.tolist(), strict=True
        )
    ]
    annotations = [
        {
            "id": int(file.ids[row]),
            "image_id": int(file.image_ids[file.image_index[row]]),
            "category_id": file.categories[file.category_index[row]][0],
            "bbox": file.boxes_xywh[row].tolist(),
            "area": float(file.areas[row]),
            "iscrowd": int(file.iscrowd[row]),
            "keypoints": dataset.keypoints[row].ravel().tolist(),
            "num_keypoints": int(dataset.num_keypoints[row]),
        }
        for row in range(len(file.ids))
    ]
    categories = [{"id": id_, "name": name} for id_, name in file.categories]
    return {"images": images, "annotations": annotations, "categories": categories}


def _mean(values: NDArray[np.float64]) -> float:
    counted = values[values > -1]
    return float(np.mean(counted)) if len(counted) else -1.0
