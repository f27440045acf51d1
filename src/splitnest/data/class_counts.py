"""Frequency of each class in the ground truth of a dataset, and whether a model can learn from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from splitnest.errors import first_few


@dataclass(frozen=True)
class ClassCounts:
    """Frequency of each class, or of each keypoint.

    Attributes:
        source: Annotation file or image folder.
        unit: Plural name of what is counted: ``images``, ``instances``, ``labeled pixels``.
        counts: Name -> number.
        kind: Plural name of the keys of ``counts``.
        min_present: Number of classes that need ground truth; with fewer there is nothing to learn.
        sample: Part of the dataset that was counted, in words; empty for all of it.
        advice: Sentence that says what to do if there are too few classes.
    """

    source: str
    unit: str
    counts: Mapping[str, int]
    kind: str = "classes"
    min_present: int = 1
    sample: str = ""
    advice: str = "Check the annotations and data.classes."

    @property
    def present(self) -> list[str]:
        """Names with ground truth."""
        return [name for name, count in self.counts.items() if count]

    @property
    def absent(self) -> list[str]:
        """Names without ground truth."""
        return [name for name, count in self.counts.items() if not count]

    def fault(self) -> str | None:
        """Return why a model cannot learn anything from this ground truth; None if it can."""
        if len(self.present) >= self.min_present:
            return None
        if not self.present:
            return f"{self.source} has no {self.unit}, so there is nothing to learn. {self.advice}"
        return (
            f"{self.source} has {self.unit} of one class only, {self.present[0]!r}, so there is nothing to learn. "
            f"{self.advice}"
        )

    def note(self) -> str | None:
        """Return the names without ground truth in a line; None if there are none."""
        if not self.absent:
            return None
        sample = f" ({self.sample})" if self.sample else ""
        if not self.present:
            return f"{self.source} has no {self.unit}{sample}"
        return (
            f"{self.source} has no {self.unit} of {len(self.absent)} of the {len(self.counts)} {self.kind}: "
            f"{first_few(self.absent)}{sample}"
        )
