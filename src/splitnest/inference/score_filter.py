"""Removal of detections with low scores from results."""

from collections.abc import Callable
from functools import partial
from typing import Final, Literal

from splitnest.errors import UsageError, printable
from splitnest.structures import Detections, Result
from splitnest.structures.score_thresholds import ScoreThresholds

AUTO: Final = "auto"
"""Score threshold that stands for those of the checkpoint."""


def parse_score(text: object, name: str) -> float | Literal["auto"]:
    """Return a score threshold that was given as text.

    Args:
        text: Number from 0 to 1, or ``AUTO``.
        name: Name of the option in messages.

    Raises:
        UsageError: The text is neither.
    """
    if text == AUTO:
        return AUTO
    try:
        score = float(text)  # type: ignore[arg-type]  # checked by float
    except (TypeError, ValueError):
        score = -1.0
    if not 0 <= score <= 1:
        raise UsageError(f"{name} is {printable(str(text)[:100])}. Give a number from 0 to 1, or {AUTO}.")
    return score


def score_filter(
    score_threshold: float | str | None, thresholds: Callable[[], ScoreThresholds]
) -> Callable[[Result], Result]:
    """Return the function that removes detections with low scores from a result.

    Args:
        score_threshold: Minimum score, ``AUTO``, or None for all detections.
        thresholds: Function that returns the thresholds of the checkpoint.
    """
    if score_threshold is None:
        return _unchanged
    return partial(_select, thresholds()) if isinstance(score_threshold, str) else partial(_above, score_threshold)


def required_thresholds(found: ScoreThresholds | None, name: str) -> ScoreThresholds:
    """Return the score thresholds of a model, or raise a UsageError if it stores none."""
    if found is None:
        raise UsageError(
            f"{name} stores no score thresholds; checkpoints of a detector that was trained with validation data do. "
            f"Give a score from 0 to 1: the report of 'splitnest eval' (--report) says which is best."
        )
    return found


def _unchanged(result: Result) -> Result:
    return result


def _above(score: float, result: Result) -> Result:
    return result.above(score)


def _select(thresholds: ScoreThresholds, result: Result) -> Result:
    return thresholds.select(result) if isinstance(result, Detections) else result
