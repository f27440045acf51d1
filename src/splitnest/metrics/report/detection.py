"""Analysis of detections: score thresholds, curves, AP by class and size, errors, confusion, calibration.

Shapes: N detections, T IoU thresholds, R recall points, K classes, A area ranges, M limits of detections per image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.best_scores import GRID, ScoreCurve, best_thresholds
from splitnest.metrics.coco_evaluation import AREAS, mean_defined
from splitnest.metrics.matches import Matches, f1_score
from splitnest.metrics.report.analysis import (
    ALL_IMAGES,
    NUM_LABEL_ERRORS,
    NUM_WORST,
    Analysis,
    LabelError,
    Slices,
    WorstImage,
    percent_cell,
    plain,
)
from splitnest.metrics.report.detection_sections import (
    ALL_CLASSES,
    calibration_section,
    confusion_section,
    curves_section,
    sizes_section,
    threshold_section,
    tide_section,
)
from splitnest.metrics.report.slices import slices_section

DEFAULT_SCORE = 0.5
"""Score threshold that drawings use by default."""

SLICE_METRICS = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ar100": "AR100"}
"""Metric of a slice -> its name in hotcoco."""


@dataclass(frozen=True)
class DetectionResults:
    """Results of one type: boxes or masks.

    Attributes:
        prefix: Beginning of the names of metrics: ``box`` or ``mask``.
        names: Names of the K classes of the annotation file.
        matches: Detections matched to the ground truth.
        evaluate: Function from numbers of results, or None for all, to their evaluated ``hotcoco.COCOeval``.
    """

    prefix: str
    names: Sequence[str]
    matches: Matches
    evaluate: Callable[[NDArray[np.int64] | None], Any]


def analyze_detections(results: DetectionResults, slices: Slices) -> Analysis:
    """Return the analysis of one type of results.

    What hotcoco computes is its own: AP, TIDE errors, confusion matrix, calibration, label errors, slices.
    """
    evaluation = results.evaluate(None)
    thresholds = threshold_numbers(results)
    shown_score = thresholds["overall"]["score"]
    shown_score = DEFAULT_SCORE if shown_score is None else shown_score
    numbers: dict[str, Any] = {
        "score_thresholds": thresholds,
        "curves": curve_numbers(evaluation, results),
        "ap_by_class": size_numbers(evaluation, results),
        "tide": evaluation.tide_errors(),
        "confusion": confusion_numbers(results, shown_score),
        "calibration": evaluation.calibration(),
        "slices": slice_numbers(evaluation, slices, SLICE_METRICS),
    }
    title = {"box": "Boxes", "mask": "Masks"}[results.prefix]
    sections = [
        *slices_section(f"{title}: slices", numbers["slices"]),
        threshold_section(title, thresholds),
        curves_section(title, numbers["curves"], thresholds),
        sizes_section(title, numbers["ap_by_class"]),
        tide_section(title, numbers["tide"]),
        confusion_section(title, numbers["confusion"]),
        calibration_section(title, numbers["calibration"]),
    ]
    return Analysis(
        numbers={results.prefix: plain(numbers)},
        sections=sections,
        worst=worst_images(evaluation, results.matches, shown_score),
        label_errors=label_errors(evaluation, max(shown_score, DEFAULT_SCORE)),
        shown_score=shown_score,
    )


def threshold_numbers(results: DetectionResults) -> dict[str, Any]:
    """Return the best score threshold of each class and of all together, with precision, recall and F1 score there.

    ``at_default`` has the same at the score of drawings, 0.5. ``score`` is None without a correct detection.
    """

    def of(curve: ScoreCurve) -> dict[str, Any]:
        best = curve.best()
        at_best = _rates(curve, DEFAULT_SCORE if best is None else best)
        return {"score": best, **at_best, "instances": curve.num_gt, "at_default": _rates(curve, DEFAULT_SCORE)}

    matches, found = results.matches, best_thresholds(results.matches)
    by_class = {name: of(ScoreCurve.of(matches, label)) for label, name in enumerate(results.names)}
    auto = None if found is None else dict(zip(results.names, found.by_class, strict=True))
    return {"overall": of(ScoreCurve.of(matches)), "by_class": by_class, "auto": auto}


def _rates(curve: ScoreCurve, score: float) -> dict[str, float]:
    correct, wrong, missed = curve.counts(np.array(score)).tolist()
    return {
        "precision": correct / (correct + wrong) if correct + wrong else float("nan"),
        "recall": correct / (correct + missed) if correct + missed else float("nan"),
        "f1": float(f1_score(np.array([correct, wrong, missed]))),
    }


def curve_numbers(evaluation: Any, results: DetectionResults) -> dict[str, Any]:
    """Return COCO's precision at 101 recall points at IoU 0.5, and F1, precision and recall by score threshold."""
    precision = np.asarray(evaluation.eval["precision"])[0, :, :, 0, -1]  # [R, K]
    has_gt: NDArray[np.bool_] = np.any(precision > -1, axis=0)
    curves = {ALL_CLASSES: ScoreCurve.of(results.matches)}
    curves |= {name: ScoreCurve.of(results.matches, k) for k, name in enumerate(results.names) if has_gt[k]}
    counts = {name: curve.counts(GRID) for name, curve in curves.items()}
    shown = {ALL_CLASSES: precision[:, has_gt].mean(axis=1)} if has_gt.any() else {}
    shown |= {name: precision[:, k] for k, name in enumerate(results.names) if has_gt[k]}
    return {
        "recall": evaluation.params.rec_thrs,
        "precision": shown,
        "score": GRID,
        "f1": {name: f1_score(each) for name, each in counts.items()},
        "precision_by_score": _ratio(counts[ALL_CLASSES][:, 0], counts[ALL_CLASSES][:, 0] + counts[ALL_CLASSES][:, 1]),
        "recall_by_score": _ratio(counts[ALL_CLASSES][:, 0], counts[ALL_CLASSES][:, 0] + counts[ALL_CLASSES][:, 2]),
        "instances": dict(zip(results.names, results.matches.num_gt.sum(axis=0).tolist(), strict=True)),
    }


def _ratio(part: NDArray[np.integer], whole: NDArray[np.integer]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def size_numbers(evaluation: Any, results: DetectionResults) -> dict[str, dict[str, float]]:
    """Return AP by class, at IoU thresholds and for sizes of instances, and recall; -1 without instances."""
    precision, recall = (np.asarray(evaluation.eval[name]) for name in ("precision", "recall"))
    num_gt = results.matches.num_gt.sum(axis=0).tolist()
    numbers = {}
    for k, name in enumerate(results.names):
        row: dict[str, float] = {"instances": num_gt[k]}
        row["ap"], row["ap50"], row["ap75"] = (mean_defined(precision[t, :, k, 0, -1]) for t in (slice(None), 0, 5))
        for area, size in enumerate(AREAS[1:], 1):
            row[f"ap_{size}"] = mean_defined(precision[:, :, k, area, -1])
        row["ar100"] = mean_defined(recall[:, k, 0, -1])
        numbers[name] = row
    return numbers


def confusion_numbers(results: DetectionResults, min_score: float) -> dict[str, Any]:
    """Return the confusion matrix at IoU 0.5 of detections with at least a score, background last.

    Detections in crowd regions are left out: hotcoco would count them as detections of background.
    """
    matches = results.matches
    kept = matches.rows[(matches.scores >= min_score) & ~matches.is_ignored[0]]
    found = results.evaluate(np.sort(kept)).confusion_matrix(iou_thr=0.5)
    return {"names": list(results.names), "matrix": np.asarray(found["matrix"], np.int64), "min_score": min_score}


def slice_numbers(evaluation: Any, slices: Slices, metrics: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return the metrics of each slice and of all images; nothing without slices.

    Args:
        evaluation: Evaluated ``hotcoco.COCOeval``.
        slices: Name -> ids of images.
        metrics: Metric -> its name in hotcoco.
    """
    if not slices:
        return {}
    found = evaluation.slice_by({str(number): list(ids) for number, ids in enumerate(slices.values())})
    keys = {ALL_IMAGES: "_overall", **{name: str(number) for number, name in enumerate(slices)}}
    return {
        name: {"images": found[key]["num_images"], **{m: found[key][theirs] for m, theirs in metrics.items()}}
        for name, key in keys.items()
    }


def worst_images(evaluation: Any, matches: Matches, min_score: float) -> list[WorstImage]:
    """Return the images with the lowest F1 score at a score threshold; of equal ones those with more errors first."""
    counts = matches.counts(np.full(matches.num_gt.shape[1], min_score))
    scores, errors = f1_score(counts), counts[:, 1:].sum(axis=1)
    order = np.lexsort([-errors, scores])  # NaN is last
    worst = []
    for index in order[:NUM_WORST].tolist():
        if errors[index] == 0:
            continue
        correct, wrong, missed = counts[index].tolist()
        text = f"{correct} correct, {wrong} wrong, {missed} missed; F1 {percent_cell(scores[index])}"
        worst.append(WorstImage(evaluation.params.img_ids[index], float(scores[index]), text))
    return worst


def label_errors(evaluation: Any, min_score: float) -> list[LabelError]:
    """Return confident detections that contradict the annotations: of another class, or where there is none."""
    found = evaluation.image_diagnostics(iou_thr=0.5, score_thr=min_score)["label_errors"]
    found = sorted(found, key=lambda each: -each["dt_score"])[:NUM_LABEL_ERRORS]
    boxes = {row["id"]: row["bbox"] for row in evaluation.coco_dt.load_anns([each["dt_id"] for each in found])}
    errors = []
    for each in found:
        text = f"{each['dt_category']} {each['dt_score']:.2f}, "
        if each["type"] == "wrong_label":
            text += f"annotated as {each['gt_category']} (IoU {each['iou']:.2f})"
        else:
            text += "not annotated"
        errors.append(LabelError(each["image_id"], text, boxes[each["dt_id"]]))
    return errors
