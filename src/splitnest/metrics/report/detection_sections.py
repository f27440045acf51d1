"""Sections of a report on detections: tables and charts of numbers that were computed."""

from typing import Any

import numpy as np

from splitnest.metrics.report.analysis import percent_cell
from splitnest.visualize.report.line_chart import line_chart
from splitnest.visualize.report.matrix import matrix, most_confused
from splitnest.visualize.report.page import Block, Section
from splitnest.visualize.report.table import Cell, table

Numbers = dict[str, Any]

MAX_CURVES = 40
"""Maximum number of classes with a curve: those with the most instances."""

MAX_CONFUSED = 30
"""Maximum number of classes of a confusion matrix: those that are confused most."""

ALL_CLASSES, BACKGROUND = "all classes", "background"
"""Names of the curve of all classes, and of the last row and column of a confusion matrix."""

TIDE_ERRORS = {
    "Cls": "right place, wrong class",
    "Loc": "right class, box too far off (IoU 0.1 to 0.5)",
    "Both": "wrong class and too far off",
    "Dupe": "another detection of the instance has a higher score",
    "Bkg": "detection of background",
    "Miss": "instance without any detection",
    "FP": "all wrong detections together",
    "FN": "all missed instances together",
}
"""TIDE's types of errors."""


def threshold_section(title: str, numbers: Numbers) -> Section:
    """Return the best score thresholds."""
    header = ["class", "instances", "best score", "F1", "precision", "recall", "F1 at 0.5", "precision", "recall"]
    rows = [_threshold_row(ALL_CLASSES, numbers["overall"])]
    rows += [_threshold_row(name, row) for name, row in numbers["by_class"].items()]
    overall = numbers["overall"]
    if overall["score"] is None:
        text = "There is no correct detection, so there is no best score threshold."
    else:
        at = overall["at_default"]
        at_default = (
            f"At 0.5 precision is {percent_cell(at['precision'])} % and recall {percent_cell(at['recall'])} %."
            if at["recall"]
            else "From 0.5 on no detection is correct."
        )
        text = (
            f"F1 is highest with detections from score {overall['score']:.2f} on: precision "
            f"{percent_cell(overall['precision'])} %, recall {percent_cell(overall['recall'])} %. {at_default} A "
            f"detection is correct if its IoU with an instance of its class is at least 0.5. In percent but for scores."
        )
    return Section(f"{title}: best score thresholds", text, [Block(table(header, rows), is_wide=True)])


def _threshold_row(name: str, row: Numbers) -> list[Cell]:
    score, at = row["score"], row["at_default"]
    rates = [percent_cell(values[m]) for values in (row, at) for m in ("f1", "precision", "recall")]
    if score is None:
        rates[:3] = ["-"] * 3
    return [name, row["instances"], "-" if score is None else f"{score:.2f}", *rates]


def curves_section(title: str, numbers: Numbers, thresholds: Numbers) -> Section:
    """Return precision by recall, F1 by score, and precision and recall by score."""
    instances = numbers["instances"]
    names = sorted((name for name in numbers["precision"] if name != ALL_CLASSES), key=lambda name: -instances[name])
    shown = [name for name in (ALL_CLASSES, *names[:MAX_CURVES]) if name in numbers["precision"]]
    recall, score = np.asarray(numbers["recall"]).tolist(), np.asarray(numbers["score"]).tolist()
    precision = {name: _points(recall, numbers["precision"][name]) for name in shown}
    f1 = {name: _points(score, numbers["f1"][name]) for name in (ALL_CLASSES, *shown[1:])}
    overall = {
        "precision": _points(score, numbers["precision_by_score"]),
        "recall": _points(score, numbers["recall_by_score"]),
        "F1": f1[ALL_CLASSES],
    }
    best = thresholds["overall"]["score"]
    by_score = "Precision, recall and F1 of all classes" + ("" if best is None else f"; F1 is highest at {best:.2f}")
    blocks = [
        Block(line_chart(precision, x_label="recall", y_label="precision", bold=ALL_CLASSES), "Precision by recall"),
        Block(line_chart(f1, x_label="score threshold", y_label="F1", bold=ALL_CLASSES), "F1 by score threshold"),
        Block(line_chart(overall, x_label="score threshold", y_label="", bold="F1"), by_score),
    ]
    text = (
        "At IoU 0.5. Precision is the fraction of detections that are correct, recall the fraction of instances that "
        "are detected, F1 their harmonic mean. The area under the curve of precision is AP50 of the class; the "
        "line of all classes is their mean in the first chart, and counts all instances alike in the others."
    )
    return Section(f"{title}: precision, recall and F1", text, blocks)


def _points(x: list[float], y: Any) -> list[tuple[float, float]]:
    return [(a, b) for a, b in zip(x, np.asarray(y).tolist(), strict=True) if b == b]


def sizes_section(title: str, numbers: Numbers) -> Section:
    """Return AP by class and size."""
    columns = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar100"]
    rows: list[list[Cell]] = [
        [name, row["instances"], *(percent_cell(row[column]) for column in columns)] for name, row in numbers.items()
    ]
    header = ["class", "instances", "AP", "AP50", "AP75", "AP small", "AP medium", "AP large", "AR100"]
    bars = [max(row["ap"], 0.0) for row in numbers.values()]
    text = (
        "In percent, - without such instances. Small instances have less than 32 x 32 pixels, large ones more than "
        "96 x 96. AR100 is the mean recall with up to 100 detections in an image."
    )
    return Section(f"{title}: AP by class and size", text, [Block(table(header, rows, bars), is_wide=True)])


def tide_section(title: str, numbers: Numbers) -> Section:
    """Return TIDE's types of errors."""
    rows = [
        [f"{name}: {meaning}", numbers["counts"].get(name), percent_cell(numbers["delta_ap"][name])]
        for name, meaning in TIDE_ERRORS.items()
    ]
    bars = [numbers["delta_ap"][name] for name in TIDE_ERRORS]
    text = (
        f"TIDE (Bolya et al. 2020): how much AP50 ({percent_cell(numbers['ap_base'])} %) would rise if errors of one "
        f"type were corrected. The longest bar is what to work on first."
    )
    content = table(["error", "number", "AP50 lost"], rows, bars)
    return Section(f"{title}: types of errors", text, [Block(content, is_wide=True)])


def confusion_section(title: str, numbers: Numbers) -> Section:
    """Return the confusion matrix with background."""
    counts, names = np.asarray(numbers["matrix"]), [*numbers["names"], BACKGROUND]
    text = (
        f"Detections with a score of at least {numbers['min_score']:.2f}, matched to instances of any class at IoU "
        f"0.5. Rows are the ground truth, columns the detections: the last column has the missed instances, the last "
        f"row detections where nothing is annotated."
    )
    kept = most_confused(counts[:-1, :-1], MAX_CONFUSED)
    if len(kept) < len(counts) - 1:
        text += f" The {len(kept)} classes that are confused most are shown; report.json has all."
    kept = np.append(kept, len(counts) - 1)
    shown = [names[label] for label in kept.tolist()]
    return Section(
        f"{title}: confusion matrix", text, [Block(matrix(counts[np.ix_(kept, kept)], shown, shown), is_wide=True)]
    )


def calibration_section(title: str, numbers: Numbers, unit: str = "detections") -> Section:
    """Return the reliability diagram and the calibration errors.

    Args:
        title: Title of the section.
        numbers: Bins with numbers, mean scores and fractions of correct ones, and errors.
        unit: Name of the counted items.
    """
    bins = [row for row in numbers["bins"] if row["count"]]
    points = [(row["avg_confidence"], row["avg_accuracy"]) for row in bins]
    rows = [
        [
            f"{row['bin_lower']:.1f} to {row['bin_upper']:.1f}",
            row["count"],
            percent_cell(row["avg_confidence"]),
            percent_cell(row["avg_accuracy"]),
        ]
        for row in bins
    ]
    text = (
        f"Whether a score is the probability that the prediction is correct. The curve of a calibrated model is the "
        f"diagonal; below it scores are too high. The expected calibration error is {percent_cell(numbers['ece'])} %, "
        f"the maximum one {percent_cell(numbers['mce'])} %."
    )
    chart = line_chart({"model": points}, x_label="mean score", y_label="fraction correct", diagonal=True)
    blocks = [Block(chart), Block(table(["score", unit, "mean score", "correct"], rows))]
    return Section(title, text, blocks)
