"""COCO metrics against published numbers and pycocotools."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from helpers.coco_detections import detections, square, write
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import read_coco
from splitnest.metrics.coco import PREFIXES, CocoEvaluator, IouType
from splitnest.structures import Detections
from splitnest.structures.box_masks import BoxMasks
from splitnest.structures.categories import from_ids
from splitnest.structures.masks import mask_to_rle, polygons_to_mask, rle_to_mask

PUBLISHED = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "APs",
    "ap_medium": "APm",
    "ap_large": "APl",
    "ar1": "AR1",
    "ar10": "AR10",
    "ar100": "AR100",
    "ar_small": "ARs",
    "ar_medium": "ARm",
    "ar_large": "ARl",
}
"""Name of a metric -> its name in the published files, in the order of pycocotools."""


class Float64Boxes(NamedTuple):
    """Fields of ``Detections`` in float64, for published predictions, whose metrics change when they are rounded."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def oracle_metrics(path: Path, rows: list[dict[str, Any]], iou_type: IouType) -> tuple[list[float], list[float]]:
    """Return the twelve metrics of pycocotools, and the AP of each class."""
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = coco.COCO(path)
        evaluation = cocoeval.COCOeval(ground_truth, ground_truth.loadRes(rows), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    per_class = [precision[:, :, k][precision[:, :, k] > -1] for k in range(precision.shape[2])]
    return evaluation.stats.tolist(), [float(values.mean()) if len(values) else -1.0 for values in per_class]


def metrics_of(evaluator: CocoEvaluator, iou_type: IouType) -> list[float]:
    metrics = evaluator.compute()
    return [metrics[f"{PREFIXES[iou_type]}_{key}"] for key in PUBLISHED]


def evaluator_of_rows(path: Path, rows: list[dict[str, Any]], iou_type: IouType) -> CocoEvaluator:
    """Return an evaluator with the rows of a results file."""
    evaluator, file = CocoEvaluator(path, [iou_type]), read_coco(path)
    label_of_id = {id_: label for label, id_ in enumerate(evaluator.categories.ids)}
    for image_id, (height, width) in zip(file.image_ids.tolist(), file.sizes_hw.tolist(), strict=True):
        of_image = [row for row in rows if row["image_id"] == image_id]
        scores = np.array([row["score"] for row in of_image], float)
        labels = np.array([label_of_id[row["category_id"]] for row in of_image], np.int64)
        if iou_type == "bbox":
            boxes = np.array([row["bbox"] for row in of_image], float).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            evaluator.update(image_id, Float64Boxes(boxes, scores, labels))  # type: ignore[arg-type]
            continue
        masks = np.zeros((len(of_image), height, width), bool)
        for mask, row in zip(masks, of_image, strict=True):
            mask[:] = decoded(row["segmentation"], height, width)
        boxes = np.zeros((len(of_image), 4))
        of_size = {"image_size": (height, width), "categories": evaluator.categories}
        evaluator.update(image_id, detections(boxes, scores, labels, masks, **of_size))
    return evaluator


def decoded(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Return the mask of polygons or of an RLE."""
    if isinstance(segmentation, list):
        return polygons_to_mask([np.array(polygon) for polygon in segmentation], (height, width))
    return rle_to_mask(segmentation)


@pytest.mark.parametrize(
    ("case", "iou_type", "tolerance"),
    [
        ("val2014_100", "bbox", 1e-9),
        ("val2014_100", "segm", 1e-9),
        ("nocrowd", "bbox", 1e-6),  # published with 6 digits
        ("small_segm", "segm", 1e-9),
        ("small_ignore_bbox", "bbox", 1e-9),
    ],
)
def test_published_metrics_are_reproduced(
    shared_data: Callable[[str], Path], case: str, iou_type: IouType, tolerance: float
) -> None:
    folder = shared_data("oracle_coco_ap")
    oracle = json.loads((folder / "expected.json").read_text())[case]
    expected = oracle.get(iou_type, oracle.get("stats"))
    rows = json.loads((folder / (oracle.get("dt") or expected["dt"])).read_text())
    rows = rows["annotations"] if isinstance(rows, dict) else rows
    if case == "small_ignore_bbox":
        rows = [row for row in rows if row["score"] >= 0.1]
    stats = expected.get("stats", expected) if isinstance(expected, dict) else expected
    stats = [stats[key] for key in PUBLISHED.values()] if isinstance(stats, dict) else stats
    evaluator = evaluator_of_rows(folder / oracle["gt"], rows, iou_type)
    computed = metrics_of(evaluator, iou_type)
    assert computed == pytest.approx(stats, abs=tolerance, rel=0)
    if case != "small_ignore_bbox":  # pycocotools does not read its image ids, which are strings
        assert computed == oracle_metrics(folder / oracle["gt"], evaluator.results(iou_type), iou_type)[0]


def synthetic(folder: Path, rng: np.random.Generator) -> Path:
    """Write a file of ten images with small and medium squares, some of them crowd regions as RLE."""
    annotations = []
    for n in range(60):
        x, y, side = rng.uniform([0, 0, 5], [30, 30, 35])
        row = {"id": 7 * n + 1, "image_id": int(rng.integers(0, 9)), "category_id": int(rng.choice([2, 30, 31]))}
        annotations.append({**row, **square(float(x), float(y), float(side))})
        if n % 10 == 0:
            mask = np.zeros((80, 70), bool)
            mask[int(y) : int(y + side), int(x) : int(x + side)] = True
            annotations[-1] |= {"iscrowd": 1, "segmentation": mask_to_rle(mask)}
    return write(
        folder,
        images=[{"id": id_, "file_name": f"{id_}.jpg", "height": 80, "width": 70} for id_ in range(10)],
        annotations=annotations,
        categories=[{"id": id_, "name": str(id_)} for id_ in (31, 30, 2, 5)],
    )


def random_detections(rng: np.random.Generator, file: AnnotationFile, index: int) -> Detections:
    """Return detections near the annotations of an image, some of a wrong class, some at random, with equal scores."""
    height, width = file.sizes_hw[index].tolist()
    num_classes = len(file.categories)
    gt_boxes = file.boxes_xywh[file.image_index == index]
    guesses = np.concatenate([gt_boxes, gt_boxes, rng.uniform(0, 200, (5, 4))])
    guesses += rng.normal(0, 0.05, guesses.shape) * np.maximum(guesses[:, 2:].mean(1, keepdims=True), 10)
    boxes = np.concatenate([guesses[:, :2], guesses[:, :2] + np.abs(guesses[:, 2:])], axis=1)
    boxes = boxes.clip(0, [width, height] * 2).astype(np.float32)
    labels = np.concatenate([file.category_index[file.image_index == index]] * 2 + [rng.integers(0, num_classes, 5)])
    labels = np.where(rng.random(len(labels)) < 0.1, rng.integers(0, num_classes, len(labels)), labels)
    corners = boxes.round().astype(int)
    crops = tuple(rng.random((bottom - top, right - left)) < 0.9 for left, top, right, bottom in corners)
    masks = BoxMasks(crops, corners[:, 1::-1], (height, width))
    scores = rng.integers(0, 40, len(boxes)) / 40
    return detections(boxes, scores, labels, masks, image_size=(height, width), categories=from_ids(file.categories))


@pytest.mark.parametrize("data", ["synthetic", "coco_mini"])
def test_metrics_of_random_detections_equal_pycocotools(
    shared_data: Callable[[str], Path], tmp_path: Path, data: str
) -> None:
    rng = np.random.default_rng(0)
    is_real = data == "coco_mini"
    path = shared_data(data) / "annotations" / "instances_val2017.json" if is_real else synthetic(tmp_path, rng)
    file, evaluator = read_coco(path), CocoEvaluator(path)
    for index, image_id in enumerate(file.image_ids.tolist()):
        evaluator.update(image_id, random_detections(rng, file, index))
    per_class = evaluator.per_class()
    for iou_type, prefix in PREFIXES.items():
        expected, expected_per_class = oracle_metrics(path, evaluator.results(iou_type), iou_type)
        assert expected[0] > 0.05
        assert metrics_of(evaluator, iou_type) == expected
        assert [ap[f"{prefix}_ap"] for ap in per_class.values()] == expected_per_class
    assert list(per_class) == [name for _, name in file.categories]


def test_rle_equals_pycocotools() -> None:
    oracle, rng = pytest.importorskip("pycocotools.mask"), np.random.default_rng(0)
    for density in (0, 0.01, 0.5, 1):
        mask = rng.random((33, 47)) < density
        for view in (mask, np.asfortranarray(mask), mask.T, mask[::-1, ::2]):
            expected = oracle.encode(np.asfortranarray(view, np.uint8))
            assert mask_to_rle(view) == {"size": expected["size"], "counts": expected["counts"].decode()}
