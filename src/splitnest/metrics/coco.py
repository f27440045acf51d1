"""COCO average precision of boxes and masks, equal to pycocotools to the last digit.

Shapes: N detections.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import read_coco
from splitnest.data.formats.faults import MAX_EXAMPLES
from splitnest.errors import DataError
from splitnest.files import write_json
from splitnest.metrics.best_scores import best_thresholds
from splitnest.metrics.coco_evaluation import AREAS, IOUS, MAX_DETECTIONS, PREFIXES, Curves, IouType, evaluated
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.matches import Matches
from splitnest.metrics.report.analysis import Analysis, Slices, combined
from splitnest.metrics.report.detection import DetectionResults, analyze_detections
from splitnest.metrics.statistics.average_precision import PrecisionStatistics
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.metrics.statistics.combined import CombinedStatistics
from splitnest.structures import Detections
from splitnest.structures.boxes import xywh_to_xyxy, xyxy_to_xywh
from splitnest.structures.categories import from_ids
from splitnest.structures.masks import rle_to_mask
from splitnest.structures.score_thresholds import ScoreThresholds


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
        self._curves: dict[IouType, Curves] = {}
        self._matches: dict[IouType, Matches] = {}

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
        self._forget()

    def state(self) -> dict[int, "_ImageResult"]:
        """Return the detections of each image, masks as RLE."""
        return self._images

    def merge(self, state: dict[int, "_ImageResult"]) -> None:
        """Add the detections of other images."""
        images = self._images | state
        self._images = {id_: images[id_] for id_ in self._sizes if id_ in images}  # in the order of the file
        self._forget()

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
        aps = {PREFIXES[iou_type]: self._accumulated(iou_type).class_precisions() for iou_type in self.iou_types}
        return {
            label: {f"{prefix}_ap": ap[k] for prefix, ap in aps.items()} for k, label in enumerate(self._class_names)
        }

    def result(self, image_id: int) -> Detections | None:
        """Return the detections of an image that was added."""
        image, size_hw = self._images.get(image_id), self._sizes[image_id]
        if image is None:
            return None
        counts = image.rle_counts
        masks = None if counts is None else [rle_to_mask({"size": size_hw, "counts": each}) for each in counts]
        label_of = {id_: label for label, id_ in enumerate(self.categories.ids)}
        return Detections(
            boxes=xywh_to_xyxy(image.boxes_xywh).astype(np.float32),
            scores=image.scores.astype(np.float32),
            labels=np.array([label_of[id_] for id_ in image.category_ids.tolist()], np.int64),
            masks=None if masks is None else np.array(masks, bool).reshape(len(masks), *size_hw),
            image_size=(size_hw[0], size_hw[1]),
            categories=self.categories,
        )

    def statistics(self) -> ImageStatistics:
        """Return the matches of each type."""
        return CombinedStatistics([PrecisionStatistics(self.matches(t), f"{PREFIXES[t]}_") for t in self.iou_types])

    def score_thresholds(self) -> ScoreThresholds | None:
        """Return the score thresholds with the highest F1 score of boxes, by the index in ``categories``."""
        found = best_thresholds(self.matches(self.iou_types[0]))
        if found is None:
            return None
        by_id = dict(zip((id_ for id_, _ in self._file.categories), found.by_class, strict=True))
        return replace(found, by_class=tuple(by_id.get(id_, found.overall) for id_ in self.categories.ids))

    def analyze(self, slices: Slices) -> Analysis:
        """Return curves, AP by class and size, TIDE errors, confusion, calibration and score thresholds of each type.

        Raises:
            DataError: The file has no annotations.
        """
        analyses = [
            analyze_detections(
                DetectionResults(
                    prefix=PREFIXES[iou_type],
                    names=self._class_names,
                    matches=self.matches(iou_type),
                    evaluate=partial(self.evaluate_type, iou_type),
                ),
                slices,
            )
            for iou_type in self.iou_types
        ]
        return combined(analyses)

    def matches(self, iou_type: IouType) -> Matches:
        """Return the detections matched to the ground truth.

        Raises:
            DataError: The file has no annotations.
        """
        if iou_type not in self._matches:
            self._matches[iou_type] = Matches.of(self.evaluate_type(iou_type))
        return self._matches[iou_type]

    def evaluate_type(self, iou_type: IouType, kept: NDArray[np.int64] | None = None) -> Any:
        """Return the evaluated ``hotcoco.COCOeval``.

        Args:
            iou_type: Type of the results.
            kept: Numbers of the detections of classes of the file that are evaluated; None for all.

        Raises:
            DataError: The file has no annotations.
        """
        if not self._file.has_annotations:
            raise DataError(
                f"{self._path} has no annotations, as for a test set, so no metrics can be computed. Write the "
                f"detections for the evaluation server, or give a file with annotations."
            )
        # A detection of a class that the file does not have cannot match; hotcoco prints a warning about it.
        known = {id_ for id_, _ in self._file.categories}
        rows = [row for row in self.results(iou_type) if row["category_id"] in known]
        return evaluated(self._file, rows if kept is None else [rows[row] for row in kept.tolist()], iou_type)

    @cached_property
    def _class_names(self) -> list[str]:
        """Names of the classes of the file; those that occur twice have their id."""
        counts = Counter(name for _, name in self._file.categories)
        return [name if counts[name] == 1 else f"{name} (id {id_})" for id_, name in self._file.categories]

    def _forget(self) -> None:
        """Forget what was computed of fewer images."""
        self._curves.clear()
        self._matches.clear()

    def _rle_counts(self, image_id: int, result: Detections) -> list[str]:
        masks = result.box_masks
        rles = [] if masks is None else masks.rles()
        if len(rles) != len(result):
            raise ValueError(f"{len(result)} detections of image {image_id} have {len(rles)} masks")
        if rles and list(result.image_size) != self._sizes[image_id]:
            raise ValueError(f"masks of image {image_id} have size {result.image_size}, not {self._sizes[image_id]}")
        return [rle["counts"] for rle in rles]

    def _accumulated(self, iou_type: IouType) -> "Curves":
        if iou_type not in self._curves:
            curves = self.evaluate_type(iou_type).eval
            self._curves[iou_type] = Curves(np.asarray(curves["precision"]), np.asarray(curves["recall"]))
        return self._curves[iou_type]


class _ImageResult(NamedTuple):
    """N detections of one image, boxes and scores as float64."""

    category_ids: NDArray[np.int64]
    boxes_xywh: NDArray[np.float64]
    scores: NDArray[np.float64]
    rle_counts: list[str] | None


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
