"""Score thresholds with the highest F1 score, for each class and for all classes together, at IoU 0.5.

Shapes: N detections, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.matches import Matches, f1_score
from splitnest.structures.score_thresholds import ScoreThresholds

GRID = np.linspace(0, 1, 101)
"""Score thresholds of curves."""


@dataclass(frozen=True)
class ScoreCurve:
    """Numbers of correct and wrong detections by score threshold.

    Attributes:
        scores: Scores from the highest to the lowest, ``[N]``.
        is_correct: bool ``[N]``.
        num_gt: Number of instances.
    """

    scores: NDArray[np.float64]
    is_correct: NDArray[np.bool_]
    num_gt: int

    @classmethod
    def of(cls, matches: Matches, label: int | None = None) -> "ScoreCurve":
        """Return the curve of one class, or of all classes together."""
        rows = ~matches.is_ignored[0]
        if label is not None:
            rows &= matches.labels == label
        count = matches.num_gt.sum() if label is None else matches.num_gt[:, label].sum()
        return cls(matches.scores[rows], matches.is_matched[0, rows], int(count))

    def counts(self, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the correct, wrong and missed instances at each threshold, ``[..., 3]``."""
        taken = np.searchsorted(-self.scores, -thresholds, side="right")
        correct = np.append(0, np.cumsum(self.is_correct))[taken]
        return np.stack([correct, taken - correct, self.num_gt - correct], axis=-1)

    def best(self) -> float | None:
        """Return the threshold with the highest F1 score; None where no threshold gives one over 0.

        It is between the lowest score that is taken and the highest that is not. Of several, the highest is returned.
        """
        if not len(self.scores):
            return None
        candidates = np.unique(self.scores)[::-1]
        f1 = np.nan_to_num(f1_score(self.counts(candidates)))
        best = int(f1.argmax())
        if f1[best] <= 0:
            return None
        below = float(candidates[best + 1]) if best + 1 < len(candidates) else 0.0
        middle = (float(candidates[best]) + below) / 2
        return middle if below < np.float32(middle) <= candidates[best] else float(candidates[best])


def best_thresholds(matches: Matches) -> ScoreThresholds | None:
    """Return the score thresholds with the highest F1 score at IoU 0.5; None if there is no correct detection.

    The thresholds of the classes are used only if they give an F1 score of all classes together that is not lower than
    that of one threshold for all: rare classes with many wrong detections can lower it. So F1 of all classes together
    is never lower than with any single threshold.
    """
    overall = ScoreCurve.of(matches).best()
    if overall is None:
        return None
    num_classes = matches.num_gt.shape[1]
    found = [ScoreCurve.of(matches, label).best() for label in range(num_classes)]
    by_class = np.array([overall if each is None else each for each in found])
    single = np.full(num_classes, overall)
    f1_by_class, f1_single = (f1_score(matches.counts(each).sum(axis=0)) for each in (by_class, single))
    return ScoreThresholds(overall, tuple((by_class if f1_by_class >= f1_single else single).tolist()))
