"""Analysis of image classification: confusions, calibration, confident mistakes, likely label errors.

Shapes: I images, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.report.analysis import (
    NUM_LABEL_ERRORS,
    NUM_WORST,
    Analysis,
    LabelError,
    Slices,
    WorstImage,
    percent_cell,
    plain,
)
from splitnest.metrics.report.detection_sections import calibration_section
from splitnest.metrics.report.segmentation import confused_pairs, confusion_section
from splitnest.metrics.report.slices import slice_metrics, slices_section
from splitnest.metrics.statistics.accuracy import AccuracyStatistics
from splitnest.visualize.report.page import Block, Section
from splitnest.visualize.report.table import Cell, table

NUM_BINS = 10
"""Number of bins of the reliability diagram."""


@dataclass(frozen=True)
class Predictions:
    """Most probable class of each image.

    Attributes:
        image_ids: int64 ``[I]``.
        labels: True class, int64 ``[I]``.
        predicted: Most probable class, int64 ``[I]``.
        probabilities: Its probability, ``[I]``.
        true_probabilities: Probability of the true class, ``[I]``.
    """

    image_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    true_probabilities: NDArray[np.floating]


def analyze_classification(
    predictions: Predictions,
    confusion: NDArray[np.integer],
    per_class: Mapping[str, Mapping[str, float]],
    statistics: AccuracyStatistics,
    slices: Slices,
) -> Analysis:
    """Return the analysis of a classification.

    Args:
        predictions: Predictions of all images.
        confusion: ``[K, K]``, ground truth in rows.
        per_class: Class name -> ``top1`` and ``precision``.
        statistics: Statistics of the same images.
        slices: Name -> ids of images.
    """
    names = list(per_class)
    pairs, counts = confused_pairs(confusion, names), confusion.sum(axis=1)
    of_slices = slice_metrics(statistics, predictions.image_ids.tolist(), slices)
    calibration = calibration_numbers(predictions)
    numbers = {
        "confusion": {"names": names, "matrix": confusion},
        "confused": pairs,
        "calibration": calibration,
        "slices": of_slices,
    }
    rows: list[list[Cell]] = [
        [name, int(counts[k]), percent_cell(row["top1"]), percent_cell(row["precision"])]
        for k, (name, row) in enumerate(per_class.items())
    ]
    bars = [max(row["top1"], 0.0) for row in per_class.values()]
    by_class = Section(
        "Accuracy by class",
        "In percent. Recall is the fraction of the images of a class that are predicted as it, precision the fraction "
        "of the images predicted as it that are of the class.",
        [Block(table(["class", "images", "recall", "precision"], rows, bars), is_wide=True)],
    )
    return Analysis(
        numbers=plain(numbers),
        sections=[
            *slices_section("Slices", of_slices),
            by_class,
            confusion_section(confusion, names, pairs, "images"),
            calibration_section("Probabilities", calibration),
        ],
        worst=_mistakes(predictions, names),
        label_errors=_label_errors(predictions, names),
    )


def calibration_numbers(predictions: Predictions) -> dict[str, object]:
    """Return the reliability diagram of the most probable class, and expected and maximum calibration error."""
    from hotcoco.metrics import calibration_curve, calibration_error

    scores = np.asarray(predictions.probabilities, np.float64)
    is_correct = predictions.predicted == predictions.labels
    ece, mce = calibration_error(scores, is_correct, NUM_BINS)
    return {"ece": ece, "mce": mce, "bins": calibration_curve(scores, is_correct, NUM_BINS)}


def _mistakes(predictions: Predictions, names: Sequence[str]) -> list[WorstImage]:
    """Return the mistakes whose true class has the lowest probability."""
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    order = wrong[np.argsort(predictions.true_probabilities[wrong], kind="stable")][:NUM_WORST].tolist()
    return [
        WorstImage(
            int(predictions.image_ids[i]), float(predictions.true_probabilities[i]), _text(predictions, i, names)
        )
        for i in order
    ]


def _label_errors(predictions: Predictions, names: Sequence[str]) -> list[LabelError]:
    """Return mistakes that are at least as confident as correct predictions of the same class on average."""
    is_correct = predictions.predicted == predictions.labels
    mean = np.ones(len(names))
    for label in np.unique(predictions.predicted[is_correct]).tolist():
        mean[label] = predictions.probabilities[is_correct & (predictions.predicted == label)].mean()
    suspect = np.flatnonzero(~is_correct & (predictions.probabilities >= mean[predictions.predicted]))
    order = suspect[np.argsort(-predictions.probabilities[suspect], kind="stable")][:NUM_LABEL_ERRORS].tolist()
    return [LabelError(int(predictions.image_ids[i]), _text(predictions, i, names)) for i in order]


def _text(predictions: Predictions, i: int, names: Sequence[str]) -> str:
    return (
        f"annotated as {names[predictions.labels[i]]} ({percent_cell(float(predictions.true_probabilities[i]))} %), "
        f"predicted {names[predictions.predicted[i]]} ({percent_cell(float(predictions.probabilities[i]))} %)"
    )
