"""Analysis of semantic and of panoptic segmentation.

Shapes: I images, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.report.analysis import NUM_WORST, Analysis, Slices, WorstImage, percent_cell, plain
from splitnest.metrics.report.slices import slice_metrics, slices_section
from splitnest.metrics.statistics.pixels import PixelStatistics
from splitnest.metrics.statistics.segments import SegmentStatistics
from splitnest.visualize.report.matrix import matrix, most_confused
from splitnest.visualize.report.page import Block, Section
from splitnest.visualize.report.table import Cell, table

MAX_CONFUSED, NUM_PAIRS = 30, 20
"""Maximum number of classes of a confusion matrix, and of pairs of confused classes that are listed."""


def analyze_semantic(
    confusion: NDArray[np.integer],
    names: Sequence[str],
    per_class: Mapping[str, Mapping[str, float]],
    statistics: PixelStatistics,
    image_ids: Sequence[int],
    slices: Slices,
) -> Analysis:
    """Return the analysis of a semantic segmentation.

    Args:
        confusion: Pixels, ``[K, K]``, ground truth in rows.
        names: Names of the classes.
        per_class: Class name -> ``iou`` and ``accuracy``.
        statistics: Statistics of the images.
        image_ids: Id of each image.
        slices: Name -> ids of images.
    """
    counts = np.asarray(confusion, np.int64)
    of_slices = slice_metrics(statistics, image_ids, slices)
    pairs = confused_pairs(counts, names)
    numbers = {"confusion": {"names": list(names), "matrix": counts}, "confused": pairs, "slices": of_slices}
    actual, predicted = counts.sum(axis=1), counts.sum(axis=0)
    rows = [
        [name, _share(actual, k), _share(predicted, k), percent_cell(row["iou"]), percent_cell(row["accuracy"])]
        for k, (name, row) in enumerate(per_class.items())
    ]
    header = ["class", "ground truth", "predicted", "IoU", "accuracy"]
    bars = [max(row["iou"], 0.0) for row in per_class.values()]
    by_class = Section(
        "IoU by class",
        "In percent: share of the pixels, IoU, and accuracy, the fraction of the pixels of the class that are correct.",
        [Block(table(header, rows, bars), is_wide=True)],
    )
    return Analysis(
        numbers=plain(numbers),
        sections=[*slices_section("Slices", of_slices), by_class, confusion_section(counts, names, pairs, "pixels")],
        worst=worst_images(statistics.image_scores(), image_ids, "mean IoU"),
    )


def _share(counts: NDArray[np.integer], label: int) -> str:
    return f"{100 * counts[label] / max(int(counts.sum()), 1):.1f}"


def confused_pairs(counts: NDArray[np.integer], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the most frequent confusions: class, predicted class, count, and fraction of the class."""
    wrong = counts * ~np.eye(len(counts), dtype=bool)
    totals = counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:NUM_PAIRS]
    pairs = []
    for row, column in zip(*(axis.tolist() for axis in np.unravel_index(order, wrong.shape)), strict=True):
        if count := int(wrong[row, column]):
            pair = {"class": names[row], "predicted": names[column], "count": count}
            pairs.append({**pair, "fraction": count / int(totals[row])})
    return pairs


def confusion_section(
    counts: NDArray[np.integer], names: Sequence[str], pairs: Sequence[Mapping[str, Any]], unit: str
) -> Section:
    """Return a confusion matrix and the most frequent confusions.

    Args:
        counts: ``[K, K]``, ground truth in rows.
        names: Names of the classes.
        pairs: Most frequent confusions.
        unit: What is counted.
    """
    kept = most_confused(counts, MAX_CONFUSED)
    text = f"Rows are the ground truth, columns the predictions, in {unit}; a color is the fraction of the row."
    if len(kept) < len(counts):
        text += f" The {len(kept)} classes that are confused most are shown; report.json has all."
    shown = [names[label] for label in kept.tolist()]
    rows = [[p["class"], p["predicted"], p["count"], percent_cell(p["fraction"])] for p in pairs]
    listed = table(["class", "predicted as", unit, "% of the class"], rows)
    cells = matrix(counts[np.ix_(kept, kept)], shown, shown)
    return Section("Confusion", text, [Block(cells, is_wide=True), Block(listed, "Most frequent confusions")])


def worst_images(scores: NDArray[np.float64], image_ids: Sequence[int], metric: str) -> list[WorstImage]:
    """Return the images with the lowest scores that are under 1.

    Args:
        scores: Score of each image, from 0 to 1 or NaN, ``[I]``.
        image_ids: Id of each image.
        metric: Name of the score.
    """
    order = [index for index in np.argsort(scores, kind="stable").tolist() if scores[index] < 1][:NUM_WORST]
    return [WorstImage(image_ids[i], float(scores[i]), f"{metric} {percent_cell(float(scores[i]))}") for i in order]


def analyze_panoptic(
    per_class: Mapping[str, Mapping[str, float]],
    statistics: SegmentStatistics,
    image_ids: Sequence[int],
    slices: Slices,
) -> Analysis:
    """Return the analysis of a panoptic segmentation, without that of its instances.

    Args:
        per_class: Class name -> ``pq``, ``sq`` and ``rq``.
        statistics: Statistics of the images.
        image_ids: Id of each image.
        slices: Name -> ids of images.
    """
    of_slices = slice_metrics(statistics, image_ids, slices)
    _, matched, positives, negatives = statistics.counts.sum(axis=0)
    segments = {
        name: {"matched": int(matched[k]), "wrong": int(positives[k]), "missed": int(negatives[k])}
        for k, name in enumerate(per_class)
    }
    rows: list[list[Cell]] = [
        [name, *segments[name].values(), *(percent_cell(row[metric]) for metric in ("pq", "sq", "rq"))]
        for name, row in per_class.items()
    ]
    bars = [max(row["pq"], 0.0) for row in per_class.values()]
    by_class = Section(
        "Panoptic quality by class",
        "In percent. SQ is the mean IoU of matched segments, RQ the F1 score of recognition (a match has IoU over "
        "0.5), and PQ their product.",
        [Block(table(["class", "matched", "wrong", "missed", "PQ", "SQ", "RQ"], rows, bars), is_wide=True)],
    )
    return Analysis(
        numbers=plain({"panoptic": {"segments": segments, "slices": of_slices}}),
        sections=[*slices_section("Slices", of_slices), by_class],
        worst=worst_images(statistics.image_scores(), image_ids, "PQ"),
    )
