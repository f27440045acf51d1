"""COCO average precision of boxes and masks, equal to pycocotools to the last digit.

T IoU thresholds, R recall points, K classes, A ranges of area, M limits of detections an image, N detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import from_ids
from splitnest.data.coco import CocoDetection
from splitnest.data.coco_file import CocoFile, read_coco
from splitnest.errors import DataError
from splitnest.files import write_json
from splitnest.results import Detections
from splitnest.results.interop import mask_to_rle, xyxy_to_xywh

IouType = Literal["bbox", "segm"]
PREFIXES: dict[IouType, str] = {"bbox": "box", "segm": "mask"}

AREAS = ("all", "small", "medium", "large")
"""Order of the A axis; small is under 32 x 32 pixels, large over 96 x 96 (pycocotools ``Params``)."""

MAX_DETECTIONS = (1, 10, 100)
"""Order of the M axis (pycocotools ``Params``)."""

IOUS = tuple(percent / 100 for percent in range(50, 100, 5))
"""The thresholds of the T axis: 0.5 to 0.95 by 0.05 (pycocotools ``Params``)."""


class Found(Protocol):
    """What an evaluator reads of a result, such as ``splitnest.results.Detections``."""

    @property
    def boxes(self) -> NDArray[np.floating]:
        """float32 ``[N, 4]``, xyxy in pixels of the photograph."""

    @property
    def scores(self) -> NDArray[np.floating]:
        """float32 ``[N]``."""

    @property
    def labels(self) -> NDArray[np.integer]:
        """int64 ``[N]``, class indices."""

    @property
    def masks(self) -> NDArray[np.bool_] | Sequence[dict[str, Any]] | None:
        """bool ``[N, H, W]`` at the size of the photograph, N RLEs, or None for a model without masks."""


class CocoEvaluator:
    """Collects detections image by image and holds them against a COCO file.

    Numbers are those of pycocotools, with one exception: it takes a match with the annotation of id 0 for none.

    Args:
        annotations: A COCO file, or the data set that was read from one, whose ``categories`` the labels then index.
        iou_types: ``bbox``, ``segm`` or both.

    Raises:
        DataError: The file cannot be used (see ``read_coco``), or masks are to be evaluated and an annotation of it
            has no outline.
    """

    def __init__(
        self, annotations: str | Path | CocoDetection, iou_types: Sequence[IouType] = ("bbox", "segm")
    ) -> None:
        if isinstance(annotations, CocoDetection):
            self._path, self._file = annotations.annotation_file, annotations.file
            self.categories = annotations.categories
        else:
            self._path, self._file = Path(annotations), read_coco(annotations)
            self.categories = from_ids(self._file.categories)
        self.iou_types = tuple(iou_types)
        if "segm" in self.iou_types:
            _check_outlines(self._path, self._file)
        self._sizes = dict(zip(self._file.image_ids.tolist(), self._file.sizes_hw.tolist(), strict=True))
        self._images: dict[int, _ImageResult] = {}
        self._curves: dict[IouType, _Curves] = {}

    def update(self, image_id: int, found: Found) -> None:
        """Add what was found in one image. Images that are never added count as without detections.

        Raises:
            ValueError: The file has no such image, it was added before, or a field of ``found`` does not fit.
        """
        if image_id not in self._sizes:
            raise ValueError(f"{self._path} has no image {image_id}")
        if image_id in self._images:
            raise ValueError(f"image {image_id} was added before")
        if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
            raise ValueError(f"the detections of image {image_id} are not finite")
        if not ((found.labels >= 0) & (found.labels < len(self.categories))).all():
            raise ValueError(f"image {image_id} has labels besides the {len(self.categories)} classes")
        counts = None
        if "segm" in self.iou_types:
            masks: Sequence[Any] | NDArray[np.bool_] | None
            if isinstance(found, Detections):
                masks = None if found.box_masks is None else found.box_masks.rles()
            else:
                masks = found.masks
            masks = [] if masks is None else masks
            if len(masks) != len(found.boxes):
                raise ValueError(f"{len(found.boxes)} detections of image {image_id} have {len(masks)} masks")
            counts = [self._rle_counts(image_id, mask) for mask in masks]
        self._images[image_id] = _ImageResult(
            category_ids=np.array(self.categories.ids, np.int64)[found.labels],
            boxes_xywh=xyxy_to_xywh(found.boxes),
            scores=np.asarray(found.scores, np.float64),
            rle_counts=counts,
        )
        self._curves.clear()

    def state(self) -> dict[int, "_ImageResult"]:
        """Return the detections of each image, masks as RLE."""
        return self._images

    def merge(self, state: dict[int, "_ImageResult"]) -> None:
        """Add the detections of other images."""
        both = self._images | state
        self._images = {id_: both[id_] for id_ in self._sizes if id_ in both}  # in the order of the file
        self._curves.clear()

    def results(self, iou_type: IouType | None = None) -> list[dict[str, Any]]:
        """List the detections in the form of a COCO results file.

        Args:
            iou_type: Leave out what the other type is about, as the two are scored apart: pycocotools bins masks by the
                area of their box where a row has one. None leaves out nothing.
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
        """Write the detections as a COCO results file, which can be handed in to the evaluation server."""
        write_json(path, self.results())

    def compute(self) -> dict[str, float]:
        """Return the twelve COCO metrics of each type, from 0 to 1; -1 where the file has no object of the kind.

        ``box_ap`` is the mean over IoU thresholds from 0.5 to 0.95 of at most 100 detections an image; ``box_ap50``,
        ``box_ap75`` are of one threshold, ``box_ap_small``, ``_medium``, ``_large`` of one range of areas. ``box_ar1``,
        ``box_ar10``, ``box_ar100`` are average recall of so many detections. The same with ``mask_``.

        Raises:
            DataError: The file has no annotations, as that of a test set.
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
        """Return AP at one IoU threshold of ``IOUS``, from 0 to 1; -1 where the file has no object.

        Raises:
            ValueError: Another threshold, or a type that is not evaluated.
            DataError: As ``compute``.
        """
        if iou_type not in self.iou_types or iou not in IOUS:
            raise ValueError(f"{iou_type} at {iou} is not evaluated, but {self.iou_types} at {IOUS}")
        return self._accumulated(iou_type).average_precision(iou=iou)

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``box_ap`` and ``mask_ap`` of each class of the file by its name; -1 for a class without objects.

        Raises:
            DataError: As ``compute``.
        """
        names = [name for _, name in self._file.categories]
        labels = [name if names.count(name) == 1 else f"{name} (id {id_})" for id_, name in self._file.categories]
        aps = {PREFIXES[iou_type]: self._accumulated(iou_type).class_precisions() for iou_type in self.iou_types}
        return {label: {f"{prefix}_ap": ap[k] for prefix, ap in aps.items()} for k, label in enumerate(labels)}

    def _rle_counts(self, image_id: int, mask: NDArray[np.bool_] | dict[str, Any]) -> str:
        rle = mask if isinstance(mask, dict) else mask_to_rle(mask)
        if list(rle["size"]) != self._sizes[image_id]:
            raise ValueError(f"a mask of image {image_id} is of size {rle['size']}, not {self._sizes[image_id]}")
        counts = rle["counts"]
        return counts.decode("ascii") if isinstance(counts, bytes) else counts

    def _accumulated(self, iou_type: IouType) -> "_Curves":
        if not self._file.has_annotations:
            raise DataError(
                f"{self._path} has no annotations, as the file of a test set: no metric can be had from it. "
                f"Write the detections and hand them in, or take a file with annotations."
            )
        if iou_type not in self._curves:
            # A detection of a class that the file does not have can match nothing, and hotcoco prints a warning of it.
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
    """Precision ``[T, R, K, A, M]`` and recall ``[T, K, A, M]``; -1 where there is no object."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def average_precision(self, area: str = "all", iou: float | None = None) -> float:
        thresholds = slice(None) if iou is None else IOUS.index(iou)
        return _mean(self.precision[thresholds, ..., AREAS.index(area), -1])

    def average_recall(self, area: str = "all", limit: int = MAX_DETECTIONS[-1]) -> float:
        return _mean(self.recall[:, :, AREAS.index(area), MAX_DETECTIONS.index(limit)])

    def class_precisions(self) -> list[float]:
        return [_mean(self.precision[:, :, k, 0, -1]) for k in range(self.precision.shape[2])]


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is not -1, summed in the order in which pycocotools does; -1 of nothing."""
    counted = values[values > -1]
    return float(np.mean(counted)) if len(counted) else -1.0


def _accumulate(file: CocoFile, rows: list[dict[str, Any]], iou_type: IouType) -> _Curves:
    import hotcoco

    images = [
        {"id": id_, "file_name": name, "height": height, "width": width}
        for id_, name, (height, width) in zip(
            file.image_ids.tolist(), file.file_names, file.sizes_hw.tolist(), strict=True
        )
    ]
    category_ids = np.array([id_ for id_, _ in file.categories], np.int64)
    ground_truth = hotcoco.COCO.from_arrays(
        images,
        [{"id": id_, "name": name} for id_, name in file.categories],
        file.image_ids[file.image_index],
        category_ids[file.category_index],
        file.boxes_xywh,
        ids=file.ids,
        area=file.areas,
        iscrowd=file.iscrowd,
        segmentation=_outlines(file) if iou_type == "segm" else None,
    )
    evaluation = hotcoco.COCOeval(ground_truth, ground_truth.load_res(rows), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    curves: Any = evaluation.eval
    return _Curves(np.asarray(curves["precision"]), np.asarray(curves["recall"]))


def _outlines(file: CocoFile) -> list[dict[str, Any] | list[list[float]]]:
    outlines = (file.segmentations.of(row) for row in range(len(file.ids)))
    return [outline if isinstance(outline, dict) else [p.tolist() for p in outline] for outline in outlines]


def _check_outlines(path: Path, file: CocoFile) -> None:
    """Masks cannot be evaluated where an annotation has neither polygons nor an RLE."""
    parts = np.diff(file.segmentations.annotation_ends, prepend=0) + np.diff(file.segmentations.rle_ends, prepend=0)
    for row in np.flatnonzero(parts == 0)[:1].tolist():
        raise DataError(
            f"{path}: annotation {file.ids[row]} of {file.file_names[file.image_index[row]]} has no segmentation, so "
            f"masks cannot be evaluated. Evaluate a model without masks, or complete the file."
        )
