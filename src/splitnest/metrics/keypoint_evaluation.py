"""Evaluation of keypoints by hotcoco: ground truth of a pose dataset, and curves of precision and recall.

Shapes: T OKS thresholds, R recall points, K classes, A areas of all, medium and large persons.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.pose.dataset import PoseDataset
from splitnest.errors import DataError
from splitnest.metrics.coco_evaluation import image_rows

BOX_AREA = 0.53
"""Area of a person relative to that of its box, for datasets without areas (AI Challenger, CrowdPose)."""


@dataclass(frozen=True)
class Selection:
    """Keypoints, images and areas that OKS is computed with.

    Attributes:
        keypoints: First of the keypoints, and the one after the last; None for all after the first.
        images: Ids of the images; None for all.
        area_of_box: Whether the area of a person is that of its box times ``BOX_AREA``.
        counted: Whether a person without labeled keypoints is recognized by its keypoints; False takes
            ``num_keypoints`` of the file, which CrowdPose counts differently.
    """

    keypoints: tuple[int, int | None] = (0, None)
    images: Collection[int] | None = None
    area_of_box: bool = False
    counted: bool = False


ALL = Selection()


def curves(
    dataset: PoseDataset, rows: list[dict[str, Any]], selection: Selection = ALL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision ``[T, R, K, A]`` and recall ``[T, K, A]``; -1 without persons.

    T are OKS thresholds from 0.5 to 0.95.

    Raises:
        DataError: The dataset has no annotations.
    """
    found = evaluated(dataset, rows, selection).eval
    return np.asarray(found["precision"])[..., 0], np.asarray(found["recall"])[..., 0]  # one limit of persons


def evaluated(dataset: PoseDataset, rows: list[dict[str, Any]], selection: Selection = ALL) -> Any:
    """Return the evaluated and accumulated ``hotcoco.COCOeval`` of the rows of a results file.

    Raises:
        DataError: The dataset has no annotations.
    """
    check_annotated(dataset)
    import hotcoco

    start, stop = selection.keypoints
    values = slice(3 * start, None if stop is None else 3 * stop)
    kept = rows if selection.images is None else [row for row in rows if row["image_id"] in selection.images]
    kept = [{**row, "keypoints": row["keypoints"][values]} for row in kept]
    ground_truth = hotcoco.COCO(_coco_json(dataset, selection))
    evaluation = hotcoco.COCOeval(ground_truth, ground_truth.load_res(kept), "keypoints")
    evaluation.params.kpt_oks_sigmas = list(dataset.skeleton.sigmas[start:stop])
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def check_annotated(dataset: PoseDataset) -> None:
    """Raise a DataError if a dataset has no annotations."""
    if not dataset.has_annotations:
        raise DataError(
            f"{dataset.source} has no annotations, as for a test set, so no metrics can be computed. Write the poses "
            f"for the evaluation server, or give a file with annotations."
        )


def areas(dataset: PoseDataset, area_of_box: bool) -> NDArray[np.float64]:
    """Return the areas of the persons in square pixels, of the annotations or of the boxes."""
    return BOX_AREA * dataset.file.boxes_xywh[:, 2:].prod(axis=1) if area_of_box else dataset.file.areas


def _coco_json(dataset: PoseDataset, selection: Selection) -> dict[str, Any]:
    file = dataset.file
    keypoints, area = dataset.keypoints[:, slice(*selection.keypoints)], areas(dataset, selection.area_of_box)
    num_keypoints = (keypoints[..., 2] > 0).sum(axis=1) if selection.counted else dataset.num_keypoints
    annotations = [
        {
            "id": int(file.ids[row]),
            "image_id": image_id,
            "category_id": file.categories[file.category_index[row]][0],
            "bbox": file.boxes_xywh[row].tolist(),
            "area": float(area[row]),
            "iscrowd": int(file.iscrowd[row]),
            "keypoints": keypoints[row].ravel().tolist(),
            "num_keypoints": int(num_keypoints[row]),
        }
        for row, image_id in enumerate(file.image_ids[file.image_index].tolist())
        if selection.images is None or image_id in selection.images
    ]
    images = [row for row in image_rows(file) if selection.images is None or row["id"] in selection.images]
    categories = [{"id": id_, "name": name} for id_, name in file.categories]
    return {"images": images, "annotations": annotations, "categories": categories}
