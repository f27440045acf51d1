"""Analysis of an evaluation: numbers, sections of a page, worst images and label errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitnest.metrics.statistics.errors import is_fraction
from splitnest.visualize.report.page import Section

Slices = Mapping[str, Sequence[int]]
"""Name -> ids of the images of a part of a dataset."""

ALL_IMAGES = "all images"
"""Name of the whole dataset among slices."""

NUM_WORST, NUM_LABEL_ERRORS = 24, 24
"""Maximum number of the worst images, and of likely label errors."""


@dataclass(frozen=True)
class WorstImage:
    """Image on which a model fails.

    Attributes:
        image_id: Id of the image.
        score: Score of the image from 0 to 1, by which images are compared.
        text: Description of the errors.
    """

    image_id: int
    score: float
    text: str


@dataclass(frozen=True)
class LabelError:
    """Annotation that is likely to be wrong or missing, since a confident prediction contradicts it.

    Attributes:
        image_id: Id of the image.
        text: Prediction and annotation.
        box_xywh: Box of the prediction in pixels; None shows the whole image.
    """

    image_id: int
    text: str
    box_xywh: Sequence[float] | None = None


@dataclass(frozen=True)
class Analysis:
    """Analysis of an evaluation.

    Attributes:
        numbers: Everything that the sections show, as plain values for JSON.
        sections: Sections of the page.
        worst: Images on which the model fails, the worst first.
        label_errors: Likely label errors, the most likely first.
        shown_score: Minimum score of the detections that are drawn; None for the default.
    """

    numbers: dict[str, Any]
    sections: Sequence[Section] = ()
    worst: Sequence[WorstImage] = ()
    label_errors: Sequence[LabelError] = field(default_factory=tuple)
    shown_score: float | None = None


def combined(analyses: Sequence[Analysis]) -> Analysis:
    """Merge analyses of the same results; worst images and label errors are those of the first."""
    first = analyses[0]
    return Analysis(
        numbers={name: value for each in analyses for name, value in each.numbers.items()},
        sections=[section for each in analyses for section in each.sections],
        worst=first.worst,
        label_errors=first.label_errors,
        shown_score=first.shown_score,
    )


def plain(value: Any) -> Any:
    """Return numbers, also those of arrays and containers, as plain values for JSON; NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return None if value != value else value
    return value


def readable_cell(name: str, value: float | None) -> str:
    """Return a metric for a table: in percent, or EPE in pixels as it is; ``-`` where it is undefined."""
    return percent_cell(value) if is_fraction(name) or value is None or value < 0 else f"{value:.4g}"


def percent_cell(value: float | None) -> str:
    """Return a number from 0 to 1 in percent for a table, ``-`` where it is undefined (-1, NaN or None)."""
    return "-" if value is None or not value >= 0 else f"{100 * value:.1f}"
