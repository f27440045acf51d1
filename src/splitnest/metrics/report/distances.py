"""Analysis of poses by the distance of each keypoint from its annotation.

Shapes: N persons, K keypoints.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.pose.dataset import PoseDataset
from splitnest.metrics.report.analysis import NUM_WORST, Analysis, Slices, WorstImage, plain
from splitnest.metrics.report.slices import slice_metrics, slices_section
from splitnest.metrics.statistics.ratios import RatioStatistics
from splitnest.visualize.report.page import Block, Section
from splitnest.visualize.report.table import table


def analyze_distances(
    dataset: PoseDataset,
    distances: NDArray[np.float64],
    statistics: RatioStatistics,
    slices: Slices,
) -> Analysis:
    """Return the analysis of poses.

    Args:
        dataset: Persons.
        distances: Distances of their keypoints from the annotations in pixels, ``[N, K]``; NaN where not labeled.
        statistics: Statistics of the metrics.
        slices: Name -> ids of images.
    """
    by_keypoint: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(dataset.skeleton.names):
        of_keypoint = distances[~np.isnan(distances[:, k]), k]
        ends = [float(np.quantile(of_keypoint, part)) for part in (0.5, 0.9)] if len(of_keypoint) else [-1.0, -1.0]
        by_keypoint[name] = {"labeled": len(of_keypoint), "median_distance": ends[0], "distance_90": ends[1]}
    of_slices = slice_metrics(statistics, dataset.image_ids, slices)
    scores = statistics.image_scores()
    order = [index for index in np.argsort(scores, kind="stable").tolist() if scores[index] < 1][:NUM_WORST]
    worst = [
        WorstImage(dataset.image_id(index), float(scores[index]), f"score {100 * scores[index]:.1f}") for index in order
    ]
    numbers = {"distance_by_keypoint": by_keypoint, "slices": of_slices}
    return Analysis(plain(numbers), [*slices_section("Slices", of_slices), _section(by_keypoint)], worst)


def _section(numbers: dict[str, dict[str, Any]]) -> Section:
    rows = [
        [name, row["labeled"], *(row[key] if row["labeled"] else None for key in ("median_distance", "distance_90"))]
        for name, row in numbers.items()
    ]
    text = "Distance of each labeled keypoint from its annotation in pixels: the median, and what 90 of 100 are below."
    columns = ["keypoint", "labeled", "median distance", "90 of 100 below"]
    return Section("Distance by keypoint", text, [Block(table(columns, rows), is_wide=True)])
