"""Metrics of the user, which are computed beside the published ones."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from splitnest.errors import UsageError, UserCodeError
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.report.analysis import Analysis, Slices
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.structures import Result
from splitnest.structures.score_thresholds import ScoreThresholds


class Metric(ABC):
    """Base class of metrics of the user. Each evaluation starts with a copy of the given object.

    With several processes, each has its copy and a share of the images, and copies are pickled to be merged.
    """

    @abstractmethod
    def update(self, result: Any, ground_truth: Any) -> None:
        """Add the result of an image and its ground truth, both of the type that ``predict`` returns for the task."""

    @abstractmethod
    def compute(self) -> Mapping[str, float]:
        """Return values by name. More is better; -1 stands for an undefined value."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the images of another copy of this metric."""


def check_metrics(metrics: Sequence[Metric]) -> None:
    """Raise a UsageError for an object without the methods of a metric."""
    for metric in metrics:
        missing = [name for name in ("update", "compute", "merge") if not callable(getattr(metric, name, None))]
        if isinstance(metric, type):
            raise UsageError(f"metrics has the class {metric.__name__}. Give an object of it: {metric.__name__}().")
        if missing:
            raise UsageError(
                f"metrics has an object of the type {type(metric).__name__} without {', '.join(missing)}. Give objects "
                f"of a subclass of splitnest.Metric."
            )


class ExtendedEvaluator(Evaluator):
    """Evaluator of a task, and metrics of the user beside it.

    Args:
        evaluator: Evaluator of the task.
        metrics: Metrics of the user, which are copied.
        ground_truth: Function from the id of an image to its ground truth.
    """

    def __init__(self, evaluator: Evaluator, metrics: Sequence[Metric], ground_truth: Callable[[int], Any]) -> None:
        self._evaluator, self._metrics = evaluator, [copy.deepcopy(metric) for metric in metrics]
        self._ground_truth = ground_truth

    def update(self, image_id: int, result: Any) -> None:
        """Add the result of one image.

        Raises:
            UserCodeError: A metric raises an exception.
        """
        self._evaluator.update(image_id, result)
        ground_truth = self._ground_truth(image_id)
        for metric in self._metrics:
            with _naming(metric, f"in update with the image of id {image_id}"):
                metric.update(result, ground_truth)

    def compute(self) -> dict[str, float]:
        """Return the metrics of the task, and then those of the user.

        Raises:
            UserCodeError: A metric raises an exception, returns no numbers, or uses the name of another one.
        """
        values = self._evaluator.compute()
        for metric in self._metrics:
            with _naming(metric, "in compute"):
                own = {str(name): float(value) for name, value in dict(metric.compute()).items()}
            if taken := sorted(own.keys() & values.keys()):
                raise UserCodeError(
                    f"The metric {type(metric).__name__} returns {', '.join(taken)}, which is the name of another "
                    f"metric. Use another name."
                )
            values |= {name: value if math.isfinite(value) else -1.0 for name, value in own.items()}
        return values

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return the metrics of the task by class."""
        return self._evaluator.per_class()

    def state(self) -> Any:
        """Return the state of the evaluator and the metrics."""
        return self._evaluator.state(), self._metrics

    def merge(self, state: Any) -> None:
        """Add the ``state`` of another process.

        Raises:
            UserCodeError: A metric raises an exception.
        """
        evaluator, metrics = state
        self._evaluator.merge(evaluator)
        for metric, other in zip(self._metrics, metrics, strict=True):
            with _naming(metric, "in merge"):
                metric.merge(other)

    def write(self, path: str | Path) -> None:
        """Write the results as the evaluator of the task does."""
        self._evaluator.write(path)

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        """Return the drawings of the evaluator of the task."""
        return self._evaluator.pictures()

    def result(self, image_id: int) -> Result | None:
        """Return the result of an image that the evaluator of the task has."""
        return self._evaluator.result(image_id)

    def statistics(self) -> ImageStatistics:
        """Return the statistics of the evaluator of the task."""
        return self._evaluator.statistics()

    def analyze(self, slices: Slices) -> Analysis:
        """Return the analysis of the evaluator of the task."""
        return self._evaluator.analyze(slices)

    def score_thresholds(self) -> ScoreThresholds | None:
        """Return the score thresholds of the evaluator of the task."""
        return self._evaluator.score_thresholds()


@contextmanager
def _naming(metric: Metric, where: str) -> Iterator[None]:
    """Name a metric in its exceptions."""
    try:
        yield
    except Exception as error:
        raise UserCodeError.of(f"metric {type(metric).__name__}", where, error) from error
