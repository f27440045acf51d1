"""Score thresholds of a detector: scores from which on detections are taken, by class."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from splitnest.structures.detections import Detections


@dataclass(frozen=True)
class ScoreThresholds:
    """Minimum scores with the highest F1 score on validation data.

    Attributes:
        overall: Threshold for all classes together, from 0 to 1.
        by_class: Threshold of each class in index order, which is ``overall`` for a class without ground truth.
    """

    overall: float
    by_class: Sequence[float]

    def select(self, detections: Detections) -> Detections:
        """Return the detections whose scores are at least the threshold of their class."""
        return detections[detections.scores >= np.asarray(self.by_class)[detections.labels]]

    def to_json(self) -> str:
        """Return the thresholds as JSON, for the metadata of a checkpoint."""
        return json.dumps({"overall": self.overall, "by_class": list(self.by_class)})

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Return the thresholds of JSON; None for text that is not of ``to_json``."""
        try:
            content = json.loads(text)
            overall, by_class = content["overall"], content["by_class"]
            numbers = [overall, *by_class]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not all(isinstance(each, float | int) and math.isfinite(each) and 0 <= each <= 1 for each in numbers):
            return None
        return cls(float(overall), tuple(map(float, by_class)))
