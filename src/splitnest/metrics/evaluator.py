"""Interface of the evaluators of all tasks."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.report.analysis import Analysis, Slices
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.metrics.statistics.errors import is_fraction
from splitnest.structures import Result
from splitnest.structures.score_thresholds import ScoreThresholds


def percent(value: float) -> str:
    """Return a metric from 0 to 1 in percent, as people read it, or ``-`` for an undefined one (-1)."""
    return f"{100 * value:.2f}" if value >= 0 else "-"


def readable(name: str, value: float) -> str:
    """Return a metric in percent, or a loss and EPE as they are, as people read it; ``-`` for an undefined metric."""
    return percent(value) if is_fraction(name) or value == -1 else f"{value:.4g}"


class Evaluator(ABC):
    """Metrics of results that are added image by image. Images may be distributed over processes and merged."""

    @abstractmethod
    def update(self, image_id: int, result: Any) -> None:
        """Add the result of one image.

        Args:
            image_id: Id of the image in its dataset.
            result: Result of the task's type.

        Raises:
            ValueError: The dataset has no such image, it was added before, or the result does not fit it.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return the metrics by name, from 0 to 1, or -1 for an undefined metric; models are compared by the first.

        Less of ``nme`` and ``epe`` is better; ``epe`` is in pixels.

        Raises:
            DataError: The dataset has no annotations.
        """

    @abstractmethod
    def per_class(self) -> dict[str, dict[str, float]]:
        """Return class name -> metric name -> value, from 0 to 1, or -1 for an undefined metric."""

    @abstractmethod
    def state(self) -> Any:
        """Return the collected results in a compact, picklable form, for ``merge`` in another process."""

    @abstractmethod
    def merge(self, state: Any) -> None:
        """Add the ``state`` of another evaluator of the same dataset."""

    @abstractmethod
    def write(self, path: str | Path) -> None:
        """Write the results in the format of the dataset's evaluation server.

        Raises:
            OutputError: A file cannot be written.
        """

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        """Return drawings of the results by file name, uint8 ``[H, W, 3]``."""
        return {}

    @abstractmethod
    def result(self, image_id: int) -> Result | None:
        """Return the result of an image that was added, for drawing; None if it was not kept."""

    @abstractmethod
    def statistics(self) -> ImageStatistics:
        """Return the statistics of all images of the dataset in its order, from which metrics can be computed.

        Raises:
            DataError: The dataset has no annotations.
        """

    @abstractmethod
    def analyze(self, slices: Slices) -> Analysis:
        """Return the analysis that a report shows beside the metrics.

        Args:
            slices: Name -> image ids of a part of the dataset.

        Raises:
            DataError: The dataset has no annotations.
        """

    def score_thresholds(self) -> ScoreThresholds | None:
        """Return the score thresholds with the highest F1 score; None for a task without them, or without matches."""
        return None
