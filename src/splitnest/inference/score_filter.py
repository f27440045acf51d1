"""Removal of detections with low scores from results."""

from collections.abc import Callable
from functools import partial

from splitnest.structures import Detections, Result
from splitnest.structures.score_thresholds import ScoreThresholds

AUTO = "auto"
"""Score threshold that stands for those of the checkpoint."""


def score_filter(
    score_threshold: float | str | None, thresholds: Callable[[], ScoreThresholds]
) -> Callable[[Result], Result]:
    """Return the function that removes detections with low scores from a result.

    Args:
        score_threshold: Minimum score; None keeps all, ``AUTO`` takes the threshold of each class.
        thresholds: Function that returns the thresholds of the classes.
    """
    if score_threshold is None:
        return _unchanged
    if score_threshold == AUTO:
        return partial(_select, thresholds())
    return partial(_above, float(score_threshold))


def _unchanged(result: Result) -> Result:
    return result


def _above(score: float, result: Result) -> Result:
    return result.above(score)


def _select(thresholds: ScoreThresholds, result: Result) -> Result:
    return thresholds.select(result) if isinstance(result, Detections) else result
