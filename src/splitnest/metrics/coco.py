"""COCO average precision of boxes and masks, equal to pycocotools to the last digit.

Shapes: T IoU thresholds, R recall points, K classes, A area ranges, M limits of detections per image, N detections.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import read_coco
from splitnest.data.formats.faults import MAX_EXAMPLES
from splitnest.errors import DataError
from splitnest.files import write_json
from splitnest.metrics.evaluator import Evaluator
from splitnest.structures import Detections
from splitnest.structures.boxes import xyxy_to_xywh
from splitnest.structures.categories import from_ids

IouType = Literal["bbox", "segm"]
PREFIXES: dict[IouType, str] = {"bbox": "box", "segm": "mask"}

AREAS = ("all", "small", "medium", "large")
"""Area ranges of the A axis; small is under 32 x 32 pixels, large over 96 x 96 (pycocotools ``Params``)."""

MAX_DETECTIONS = (1, 10, 100)
"""Limits of the M axis (pycocotools ``Params``)."""

IOUS = tuple(percent / 100 for percent in range(50, 100, 5))
"""Thresholds of the T axis: 0.5 to 0.95 in steps of 0.05 (pycocotools ``Params``)."""


class CocoEvaluator(Evaluator):
    """COCO metrics of detections.

    Values are those of pycocotools, with one exception: pycocotools ignores a match with the annotation of id 0.

    Args:
        annotations: COCO file, or dataset whose ``categories`` the labels index.
        iou_types: ``bbox``, ``segm`` or both.
        skip_without_mask: Whether annotations without a segmentation are left out of the metrics of masks; otherwise
            they are an error.

    Raises:
        DataError: The file is not valid (see ``read_coco``), or masks are to be evaluated and an annotation has no
            segmentation, or an RLE of another size than its image.
    """

    def __init__(
        self,
        annotations: str | Path | DetectionDataset,
        iou_types: Sequence[IouType] = ("bbox", "segm"),
        *,
        skip_without_mask: bool = False,
    ) -> None:
        if isinstance(annotations, DetectionDataset):
            self._path, self._file = annotations.annotation_path, annotations.file
            self.categories = annotations.categories
        else:
            self._path, self._file = Path(annotations), read_coco(annotations)
            self.categories = from_ids(self._file.categories)
        self.iou_types = tuple(iou_types)
        if "segm" in self.iou_types:
            self._file.check_rle_sizes(self._path)
            if not skip_without_mask:
                _check_segmentations(self._path, self._file)
        self._sizes = dict(zip(self._file.image_ids.tolist(), self._file.sizes_hw.tolist(), strict=True))
        self._images: dict[int, _ImageResult] = {}
        self._curves: dict[IouType, _Curves] = {}

    def update(self, image_id: int, result: Detections) -> None:
        """Add the detections of one image. Images that are never added count as images without detections.

        Raises:
            ValueError: The file has no such image, it was added before, or the detections do not fit it.
        """
        if image_id not in self._sizes:
            raise ValueError(f"{self._path} has no image {image_id}")
        if image_id in self._images:
            raise ValueError(f"image {image_id} was added before")
        if result.labels.max(initial=-1) >= len(self.categories):
            raise ValueError(f"image {image_id} has labels outside the {len(self.categories)} classes")
        self._images[image_id] = _ImageResult(
            category_ids=np.array(self.categories.ids, np.int64)[result.labels],
            boxes_xywh=xyxy_to_xywh(result.boxes),
            scores=np.asarray(result.scores, np.float64),
            rle_counts=self._rle_counts(image_id, result) if "segm" in self.iou_types else None,
        )
        self._curves.clear()

    def state(self) -> dict[int, "_ImageResult"]:
        """Return the detections of each image, masks as RLE."""
        return self._images

    def merge(self, state: dict[int, "_ImageResult"]) -> None:
        """Add the detections of other images."""
        images = self._images | state
        self._images = {id_: images[id_] for id_ in self._sizes if id_ in images}  # in the order of the file
        self._curves.clear()

    def results(self, iou_type: IouType | None = None) -> list[dict[str, Any]]:
        """Return the detections as rows of a COCO results file.

        Args:
            iou_type: Type whose fields are returned; None returns all. The types are evaluated separately: pycocotools
                assigns masks to area ranges by their box where a row has one.
        """
        boxes, masks = iou_type != "segm", "segm" in self.iou_types and iou_type != "bbox"
        rows: list[dict[str, Any]] = []
        for image_id, image in self._images.items():
            ids, scores = image.category_ids.tolist(), image.scores.tolist()
            for n, (id_, box, score) in enumerate(zip(ids, image.boxes_xywh.tolist(), scores, strict=True)):
                row = {"image_id": image_id, "category_id": id_, "score": score}
                if boxes:
                    row["bbox"] = box
                if masks and image.rle_counts is not None:
                    row["segmentation"] = {"size": self._sizes[image_id], "counts": image.rle_counts[n]}
                rows.append(row)
        return rows

    def write(self, path: str | Path) -> None:
        """Write the detections as a COCO results file for the evaluation server."""
        write_json(path, self.results())

    def compute(self) -> dict[str, float]:
        """Return the twelve COCO metrics of each type, from 0 to 1; -1 where the file has no such instances.

        ``box_ap`` is the mean over IoU thresholds from 0.5 to 0.95 with at most 100 detections per image; ``box_ap50``
        and ``box_ap75`` are of one threshold; ``box_ap_small``, ``_medium`` and ``_large`` of one area range.
        ``box_ar1``, ``box_ar10`` and ``box_ar100`` are average recall with that many detections per image. The same
        with ``mask_``.

        Raises:
            DataError: The file has no annotations.
        """
        metrics = {}
        for iou_type in self.iou_types:
            curves, prefix = self._accumulated(iou_type), PREFIXES[iou_type]
            metrics[f"{prefix}_ap"] = curves.average_precision()
            metrics[f"{prefix}_ap50"] = curves.average_precision(iou=0.5)
            metrics[f"{prefix}_ap75"] = curves.average_precision(iou=0.75)
            for area in AREAS[1:]:
                metrics[f"{prefix}_ap_{area}"] = curves.average_precision(area)
            for limit in MAX_DETECTIONS:
                metrics[f"{prefix}_ar{limit}"] = curves.average_recall(limit=limit)
            for area in AREAS[1:]:
                metrics[f"{prefix}_ar_{area}"] = curves.average_recall(area)
        return metrics

    def average_precision(self, iou_type: IouType, iou: float) -> float:
        """Return AP at one IoU threshold of ``IOUS``, from 0 to 1; -1 where the file has no instances.

        Raises:
            ValueError: The threshold or the type is not evaluated.
            DataError: Same conditions as ``compute``.
        """
        if iou_type not in self.iou_types or iou not in IOUS:
            raise ValueError(f"{iou_type} at {iou} is not evaluated, but {self.iou_types} at {IOUS}")
        return self._accumulated(iou_type).average_precision(iou=iou)

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``box_ap`` and ``mask_ap`` of each class of the file by its name; -1 for a class without instances.

        Raises:
            DataError: Same conditions as ``compute``.
        """
        counts = Counter(name for _, name in self._file.categories)
        labels = [name if counts[name] == 1 else f"{name} (id {id_})" for id_, name in self._file.categories]
        aps = {PREFIXES[iou_type]: self._accumulated(iou_type).class_precisions() for iou_type in self.iou_types}
        return {label: {f"{prefix}_ap": ap[k] for prefix, ap in aps.items()} for k, label in enumerate(labels)}

    def _rle_counts(self, image_id: int, result: Detections) -> list[str]:
        masks = result.box_masks
        rles = [] if masks is None else masks.rles()
        if len(rles) != len(result):
            raise ValueError(f"{len(result)} detections of image {image_id} have {len(rles)} masks")
        if rles and list(result.image_size) != self._sizes[image_id]:
            raise ValueError(f"masks of image {image_id} have size {result.image_size}, not {self._sizes[image_id]}")
        return [rle["counts"] for rle in rles]

    def _accumulated(self, iou_type: IouType) -> "_Curves":
        if not self._file.has_annotations:
            raise DataError(
                f"{self._path} has no annotations, as for a test set, so no metrics can be computed. Write the "
                f"detections for the evaluation server, or give a file with annotations."
            )
        if iou_type not in self._curves:
            # A detection of a class that the file does not have cannot match; hotcoco prints a warning about it.
            known = {id_ for id_, _ in self._file.categories}
            rows = [row for row in self.results(iou_type) if row["category_id"] in known]
            self._curves[iou_type] = _accumulate(self._file, rows, iou_type)
        return self._curves[iou_type]


class _ImageResult(NamedTuple):
    """N detections of one image, boxes and scores as float64."""

    category_ids: NDArray[np.int64]
    boxes_xywh: NDArray[np.float64]
    scores: NDArray[np.float64]
    rle_counts: list[str] | None


@dataclass(frozen=True)
class _Curves:
    """Precision ``[T, R, K, A, M]`` and recall ``[T, K, A, M]``; -1 without instances."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def average_precision(self, area: str = "all", iou: float | None = None) -> float:
        thresholds = slice(None) if iou is None else IOUS.index(iou)
        return mean_defined(self.precision[thresholds, ..., AREAS.index(area), -1])

    def average_recall(self, area: str = "all", limit: int = MAX_DETECTIONS[-1]) -> float:
        return mean_defined(self.recall[:, :, AREAS.index(area), MAX_DETECTIONS.index(limit)])

    def class_precisions(self) -> list[float]:
        return [mean_defined(self.precision[:, :, k, 0, -1]) for k in range(self.precision.shape[2])]


def mean_defined(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not -1, in pycocotools' order of summation; -1 if there are none."""
    defined = values[values > -1]
    return float(np.mean(defined)) if len(defined) else -1.0


def image_rows(file: AnnotationFile) -> list[dict[str, Any]]:
    """Return the ``images`` of an annotation file in COCO's form."""
    rows = zip(file.image_ids.tolist(), file.file_names, file.sizes_hw.tolist(), strict=True)
    return [{"id": id_, "file_name": name, "height": size[0], "width": size[1]} for id_, name, size in rows]


def _accumulate(file: AnnotationFile, rows: list[dict[str, Any]], iou_type: IouType) -> _Curves:
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
    curves: Any = evaluation.eval
    return _Curves(np.asarray(curves["precision"]), np.asarray(curves["recall"]))


def _segmentations(file: AnnotationFile, kept: NDArray[np.bool_]) -> list[dict[str, Any] | list[list[float]]]:
    segmentations = (file.segmentations.of(row) for row in np.flatnonzero(kept).tolist())
    return [each if isinstance(each, dict) else [polygon.tolist() for polygon in each] for each in segmentations]


def _check_segmentations(path: Path, file: AnnotationFile) -> None:
    """Raise a DataError if annotations have neither polygons nor an RLE."""
    rows = np.flatnonzero(file.has_no_segmentation)
    if len(rows):
        cited = ", ".join(file.cite(row) for row in rows[:MAX_EXAMPLES].tolist())
        raise DataError(
            f"{path}: {len(rows)} of {len(file.ids)} annotations have no segmentation, such as {cited}, so masks "
            f"cannot be evaluated. Complete the file, set train.without_mask=skip to leave them out, or evaluate a "
            f"model without masks."
        )
