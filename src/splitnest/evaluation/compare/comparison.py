"""Comparison of two models: differences of metrics, and images that got better and worse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest._version import __version__
from splitnest.evaluation.compare.bootstrap import CONFIDENCE, NUM_SAMPLES, Difference, differences
from splitnest.evaluation.compare.sides import Side, check_comparable
from splitnest.metrics.report.analysis import percent_cell
from splitnest.metrics.statistics.errors import is_error, is_fraction
from splitnest.visualize.report.page import Block, Section, report_page
from splitnest.visualize.report.pictures import Figure, pictures, thumbnail
from splitnest.visualize.report.table import table
from splitnest.visualize.write import WRITTEN_BY

NUM_CHANGED = 12
"""Maximum number of images that got better, and of those that got worse."""

MIN_CHANGE = 1e-6
"""Minimum change of the score of an image: smaller ones are rounding."""

MAX_SIDE = 480
"""Maximum side of a picture in pixels."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of two models.

    Attributes:
        first, second: The models.
        differences: Difference of each metric; models are compared by the first.
        better, worse: Indices of the images whose score rose or fell, the largest change first.
        scores: Scores of the images of both, ``[2, I]``, NaN where undefined.
    """

    first: Side
    second: Side
    differences: Sequence[Difference]
    better: Sequence[int]
    worse: Sequence[int]
    scores: NDArray[np.float64]

    @property
    def verdict(self) -> str:
        """Sentence that says which model is better."""
        main = self.differences[0]
        if main.delta is None or main.interval is None:
            return f"{main.metric} is undefined, so the models cannot be compared."
        unit = 100 if is_fraction(main.metric) else 1
        low, high = (unit * limit for limit in main.interval)
        interval = f"with {CONFIDENCE:.0%} interval {low:+.2f} to {high:+.2f}"
        amount = f"{main.metric} differs by {unit * main.delta:+.2f}, {interval}"
        if not main.is_certain:
            return f"No difference can be told on these {self.scores.shape[1]} images: {amount}, which contains 0."
        return f"The {'second' if (main.delta > 0) != is_error(main.metric) else 'first'} model is better: {amount}."


def compare(first: Side, second: Side) -> Comparison:
    """Compare two models on the same images.

    Raises:
        UsageError: The models were evaluated on other images, or have no metric in common.
    """
    check_comparable(first, second)
    scores = np.array([side.statistics.image_scores() for side in (first, second)])
    change = np.nan_to_num(scores[1] - scores[0])
    rising, falling = (np.argsort(sign * change, kind="stable") for sign in (-1, 1))
    better = [index for index in rising.tolist() if change[index] > MIN_CHANGE]
    worse = [index for index in falling.tolist() if change[index] < -MIN_CHANGE]
    return Comparison(first, second, differences(first.statistics, second.statistics), better, worse, scores)


def comparison_rows(comparison: Comparison) -> list[list[str]]:
    """Return metric, both values, difference and interval of each metric, in percent; EPE in pixels."""
    rows = []
    for each in comparison.differences:
        unit = 100 if is_fraction(each.metric) else 1
        delta = "-" if each.delta is None else f"{unit * each.delta:+.2f}"
        interval = "-" if each.interval is None else " to ".join(f"{unit * limit:+.2f}" for limit in each.interval)
        values = [f"{unit * value:.2f}" if value >= 0 else "-" for value in (each.first, each.second)]
        rows.append([each.metric, *values, delta, interval, "yes" if each.is_certain else "no"])
    return rows


HEADER = ("metric", "first", "second", "difference", f"{CONFIDENCE:.0%} interval", "without 0")
"""Columns of ``comparison_rows``."""


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as an HTML page.

    Raises:
        DataError: An image cannot be read.
    """
    count = comparison.scores.shape[1]
    text = (
        f"In percent, on {count} images. The interval is of a paired bootstrap over images: it has the differences of "
        f"{CONFIDENCE:.0%} of {NUM_SAMPLES} random choices of images. If it does not contain 0, the difference is "
        f"unlikely to be chance."
    )
    sections = [
        Section("Metrics", f"{comparison.verdict} {text}", [Block(table(HEADER, comparison_rows(comparison)))]),
        _images_section(comparison, "Images that got better", comparison.better),
        _images_section(comparison, "Images that got worse", comparison.worse),
    ]
    title = f"First: {comparison.first.name}. Second: {comparison.second.name}. splitnest {__version__}."
    return report_page("Comparison of two models", title, sections, WRITTEN_BY)


def _images_section(comparison: Comparison, title: str, images: Sequence[int]) -> Section:
    sides = comparison.first, comparison.second
    drawn_sides = [side for side in sides if side.source is not None]
    text = f"{len(images)} of {comparison.scores.shape[1]} images; the largest change is first."
    if not images:
        return Section(title, text)
    if not drawn_sides:
        rows = [[comparison.first.image_names[i], *map(percent_cell, comparison.scores[:, i].tolist())] for i in images]
        text += " Pictures are drawn where models are compared, not reports."
        return Section(title, text, [Block(table(["image", "first", "second"], rows[:NUM_CHANGED]))])
    shown = ["ground truth"]
    shown += [name for name, side in zip(("first", "second"), sides, strict=True) if side.source is not None]
    figures = []
    for index in images[:NUM_CHANGED]:
        pixels = [each for number, side in enumerate(drawn_sides) for each in _pixels(side, index, number == 0)]
        scores = " to ".join(map(percent_cell, comparison.scores[:, index].tolist()))
        jpegs = [thumbnail(each, MAX_SIDE) for each in pixels]
        figures.append(Figure(jpegs, comparison.first.image_names[index], f"score of the image: {scores}"))
    text += f" From left to right: {', '.join(shown)}."
    return Section(title, text, [Block(pictures(figures), is_wide=True)])


def _pixels(side: Side, index: int, with_ground_truth: bool) -> list[NDArray[np.uint8]]:
    drawn = side.drawn(index)
    assert drawn is not None
    gt, result = drawn
    return [*([gt] if with_ground_truth else []), *([] if result is None else [result])]
