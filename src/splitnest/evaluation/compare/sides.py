"""Sides of a comparison: a model that is evaluated, or the report of an earlier evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.errors import DataError, UsageError, printable
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.evaluation.report.files import is_report_folder, read_report
from splitnest.evaluation.report.write import ReportSource
from splitnest.inference.load import load
from splitnest.metrics.statistics.base import ImageStatistics


@dataclass(frozen=True)
class Side:
    """One of two compared models.

    Attributes:
        name: Name for people: that of the model, and what was given.
        image_names: Names of the images.
        statistics: Statistics of these images.
        source: Evaluation, for pictures; None for a report.
    """

    name: str
    image_names: list[str]
    statistics: ImageStatistics
    source: ReportSource | None

    def drawn(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None] | None:
        """Return an image with its ground truth and with the result, if it was kept; None for a report."""
        if self.source is None:
            return None
        thresholds = self.source.evaluator.score_thresholds()
        return self.source.draw(index, None if thresholds is None else thresholds.overall)


def open_side(
    given: str, overrides: Mapping[str, Any], *, device: str = "auto", batch_size: int = 1, workers: int = 0
) -> Side:
    """Read a report folder, or evaluate a model on the validation data of its recipe; collective.

    Args:
        given: Report folder, or name or file for ``load``.
        overrides: Values of the recipe by dotted key.
        device: Device of the network.
        batch_size: Maximum number of images that are processed together.
        workers: Number of data loading processes.

    Raises:
        DataError: The report is damaged, or the dataset cannot be read or has no annotations.
        UsageError: There is no such model.
    """
    if is_report_folder(Path(given)):
        report = read_report(Path(given))
        return Side(f"{report.model} ({printable(given)})", report.image_names, report.statistics, None)
    predictor = load(given, device=device, overrides=overrides)
    evaluation = run_evaluation(predictor, batch_size=batch_size, workers=workers)
    dataset = evaluation.dataset
    if not evaluation.metrics:
        raise DataError(f"{dataset.source} has no annotations, as for a test set, so models cannot be compared on it.")
    source = ReportSource(predictor.recipe, dataset, evaluation.evaluator, evaluation.metrics, evaluation.per_class)
    names = [dataset.name(index) for index in range(len(dataset))]
    return Side(f"{predictor.recipe.name} ({printable(given)})", names, evaluation.evaluator.statistics(), source)


def check_comparable(first: Side, second: Side) -> None:
    """Raise a UsageError for sides of different images or tasks."""
    if first.image_names != second.image_names:
        other = set(first.image_names) ^ set(second.image_names)
        example = f", such as {printable(min(other))}" if other else " in another order"
        raise UsageError(
            f"{first.name} was evaluated on {len(first.image_names)} images and {second.name} on "
            f"{len(second.image_names)}; they differ{example}. Compare models on the same data."
        )
    if not first.image_names:
        raise UsageError(f"{first.name} and {second.name} were evaluated on no images. Give a dataset with images.")
    everything = np.ones((1, len(first.image_names)), np.int64)
    names = [set(side.statistics.metrics(everything)) for side in (first, second)]
    if not names[0] & names[1]:
        raise UsageError(
            f"{first.name} and {second.name} have no metric in common ({', '.join(sorted(names[0]))}; "
            f"{', '.join(sorted(names[1]))}). Compare models of one task."
        )
