"""Selection of the best model of a training by one metric, and early stopping when the metric no longer improves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from splitnest.errors import UsageError
from splitnest.metrics.statistics.errors import VAL_LOSS, is_error


def selected_first(metrics: Mapping[str, float], best_by: str | None) -> dict[str, float]:
    """Return metrics with the one that models are compared by as the first.

    Raises:
        UsageError: There is no such metric.
    """
    if best_by is None:
        return dict(metrics)
    if best_by not in metrics:
        loss = "" if VAL_LOSS in metrics else f", or set train.val_loss for {VAL_LOSS}"
        raise UsageError(f"train.best_by is {best_by}, which is not a metric. Use one of {', '.join(metrics)}{loss}.")
    return {best_by: metrics[best_by], **metrics}


def score(metrics: Mapping[str, float]) -> float | None:
    """Return the first metric, or the negative of a loss or another error, so that more is better.

    None stands for an undefined metric: -1, as without ground truth, or a number that is not finite.
    """
    name, value = next(iter(metrics.items()), ("", -1.0))
    if value == -1 or not math.isfinite(value):
        return None
    return -value if is_error(name) else value


@dataclass
class EarlyStopping:
    """Evaluations without a gain.

    Attributes:
        reference: Score of the last evaluation with a gain; None before the first.
        waited: Number of evaluations since then.
    """

    reference: float | None = None
    waited: int = 0

    def update(self, score: float | None, min_gain: float) -> None:
        """Count an evaluation, unless its score is undefined. A gain is more than ``min_gain`` over the reference."""
        if score is None:
            return
        if self.reference is None or score > self.reference + min_gain:
            self.reference, self.waited = score, 0
        else:
            self.waited += 1

    def is_due(self, patience: int) -> bool:
        """Return whether ``patience`` evaluations had no gain; never with a patience of 0."""
        return 0 < patience <= self.waited
