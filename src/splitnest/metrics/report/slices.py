"""Metrics of slices: named parts of a dataset."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from splitnest.metrics.report.analysis import ALL_IMAGES, Slices, readable_cell
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.visualize.report.page import Block, Section
from splitnest.visualize.report.table import table


def slice_metrics(statistics: ImageStatistics, image_ids: Sequence[int], slices: Slices) -> dict[str, dict[str, float]]:
    """Return the metrics of each slice and of all images; nothing without slices.

    Args:
        statistics: Statistics of the images.
        image_ids: Id of each image.
        slices: Name -> ids of images.
    """
    if not slices:
        return {}
    ids = np.array(image_ids)
    weights = np.array([np.ones(len(ids), bool), *(np.isin(ids, list(members)) for members in slices.values())])
    metrics = statistics.metrics(weights.astype(np.int64))
    return {
        name: {"images": int(weights[row].sum()), **{metric: float(values[row]) for metric, values in metrics.items()}}
        for row, name in enumerate([ALL_IMAGES, *slices])
    }


def slices_section(title: str, numbers: Mapping[str, Mapping[str, Any]]) -> list[Section]:
    """Return a section with the metrics of slices; none without slices."""
    if not numbers:
        return []
    metrics = [name for name in next(iter(numbers.values())) if name != "images"]
    rows = [[name, row["images"], *(readable_cell(m, row[m]) for m in metrics)] for name, row in numbers.items()]
    text = "Metrics of parts of the dataset, in percent."
    return [Section(title, text, [Block(table(["slice", "images", *metrics], rows), is_wide=True)])]
