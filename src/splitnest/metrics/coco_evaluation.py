"""Evaluation of boxes and masks by hotcoco: ground truth, curves of precision and recall.

Shapes: T IoU thresholds, R recall points, K classes, A area ranges, M limits of detections per image.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile

IouType = Literal["bbox", "segm"]
PREFIXES: dict[IouType, str] = {"bbox": "box", "segm": "mask"}

AREAS = ("all", "small", "medium", "large")
"""Area ranges of the A axis; small is under 32 x 32 pixels, large over 96 x 96 (pycocotools ``Params``)."""

MAX_DETECTIONS = (1, 10, 100)
"""Limits of the M axis (pycocotools ``Params``)."""

IOUS = tuple(percent / 100 for percent in range(50, 100, 5))
"""Thresholds of the T axis: 0.5 to 0.95 in steps of 0.05 (pycocotools ``Params``)."""


@dataclass(frozen=True)
class Curves:
    """Precision ``[T, R, K, A, M]`` and recall ``[T, K, A, M]``; -1 without instances."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def average_precision(self, area: str = "all", iou: float | None = None) -> float:
        """Return AP of one area range, at one IoU threshold or as the mean over all."""
        thresholds = slice(None) if iou is None else IOUS.index(iou)
        return mean_defined(self.precision[thresholds, ..., AREAS.index(area), -1])

    def average_recall(self, area: str = "all", limit: int = MAX_DETECTIONS[-1]) -> float:
        """Return average recall of one area range with a limit of detections per image."""
        return mean_defined(self.recall[:, :, AREAS.index(area), MAX_DETECTIONS.index(limit)])

    def class_precisions(self) -> list[float]:
        """Return AP of each class."""
        return [mean_defined(self.precision[:, :, k, 0, -1]) for k in range(self.precision.shape[2])]


def mean_defined(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not -1, in pycocotools' order of summation; -1 if there are none."""
    defined = values[values > -1]
    return float(np.mean(defined)) if len(defined) else -1.0


def image_rows(file: AnnotationFile) -> list[dict[str, Any]]:
    """Return the ``images`` of an annotation file in COCO's form."""
    rows = zip(file.image_ids.tolist(), file.file_names, file.sizes_hw.tolist(), strict=True)
    return [{"id": id_, "file_name": name, "height": size[0], "width": size[1]} for id_, name, size in rows]


def evaluated(file: AnnotationFile, rows: list[dict[str, Any]], iou_type: IouType) -> Any:
    """Return the evaluated and accumulated ``hotcoco.COCOeval`` of the rows of a results file."""
    import hotcoco

    category_ids = np.array([id_ for id_, _ in file.categories], np.int64)
    kept = ~file.has_no_segmentation if iou_type == "segm" else np.ones(len(file.ids), bool)
    ground_truth = hotcoco.COCO.from_arrays(
        image_rows(file),
        [{"id": id_, "name": name} for id_, name in file.categories],
        file.image_ids[file.image_index[kept]],
        category_ids[file.category_index[kept]],
        file.boxes_xywh[kept],
        ids=file.ids[kept],
        area=file.areas[kept],
        iscrowd=file.iscrowd[kept],
        segmentation=_segmentations(file, kept) if iou_type == "segm" else None,
    )
    evaluation = hotcoco.COCOeval(ground_truth, ground_truth.load_res(rows), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _segmentations(file: AnnotationFile, kept: NDArray[np.bool_]) -> list[dict[str, Any] | list[list[float]]]:
    segmentations = (file.segmentations.of(row) for row in np.flatnonzero(kept).tolist())
    return [each if isinstance(each, dict) else [polygon.tolist() for polygon in each] for each in segmentations]
