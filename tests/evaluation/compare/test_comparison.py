"""Comparison of two models: verdict, images that changed, page, and sides that cannot be compared."""

from pathlib import Path

import numpy as np
import pytest

from helpers import random_detections
from helpers.families import load_small
from helpers.python_data import SceneItems
from splitnest.errors import UsageError
from splitnest.evaluation.compare.comparison import compare, comparison_page, comparison_rows
from splitnest.evaluation.compare.sides import Side
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.evaluation.report.write import ReportSource
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.metrics.statistics.pixels import PixelStatistics


def side(name: str, statistics: ImageStatistics, names: list[str] | None = None) -> Side:
    return Side(name, names or [f"{n}.png" for n in range(statistics.num_images)], statistics, None)


def pixels(correct: list[int]) -> PixelStatistics:
    """Return statistics of images with 10 pixels of one class, of which some are correct."""
    return PixelStatistics(np.array([[[count], [10], [10]] for count in correct], np.int64).reshape(-1, 3, 1))


def test_undefined_metrics_have_no_verdict() -> None:
    nothing = PixelStatistics(np.zeros((2, 3, 1), np.int64))
    comparison = compare(side("a", nothing), side("b", nothing))
    assert comparison.verdict == "miou is undefined, so the models cannot be compared."
    assert comparison_rows(comparison)[0] == ["miou", "-", "-", "-", "-", "no"]
    assert "0 of 2 images" in comparison_page(comparison)


def test_images_that_got_better_and_worse() -> None:
    comparison = compare(side("a", pixels([5, 5, 5, 5])), side("<b>", pixels([5, 9, 2, 6])))
    assert (comparison.better, comparison.worse) == ([1, 3], [2])
    assert comparison.verdict.startswith("No difference can be told on these 4 images: miou differs by +")
    page = comparison_page(comparison)
    assert "Second: &lt;b&gt;" in page
    assert "<td>1.png</td><td>33.3</td><td>81.8</td>" in page


def test_better_model() -> None:
    rng = np.random.default_rng(0)
    worse = rng.integers(1, 8, 60)
    comparison = compare(
        side("a", pixels(worse.tolist())), side("b", pixels((worse + rng.integers(0, 3, 60)).tolist()))
    )
    assert comparison.verdict.startswith("The second model is better: miou differs by +")
    assert comparison.differences[0].is_certain
    backwards = compare(comparison.second, comparison.first)
    assert backwards.verdict.startswith("The first model is better: miou differs by -")
    assert (backwards.better, backwards.worse) == (comparison.worse, comparison.better)


def test_other_images_and_other_tasks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a was evaluated on 2 images and b on 1; they differ, such as 1\.png"):
        compare(side("a", pixels([1, 2])), side("b", pixels([1])))
    with pytest.raises(UsageError, match=r"they differ in another order"):
        compare(side("a", pixels([1, 2]), ["x", "y"]), side("b", pixels([1, 2]), ["y", "x"]))
    with pytest.raises(UsageError, match="evaluated on no images"):
        compare(side("a", pixels([])), side("b", pixels([])))
    boxes = random_detections.evaluator(tmp_path / "gt.json", random_detections.samples(2)).statistics()
    with pytest.raises(UsageError, match=r"have no metric in common \(macc, miou, pixel_accuracy; box_ap, "):
        compare(side("a", pixels([1, 2])), side("b", boxes))


def test_pictures_of_models() -> None:
    predictor, data = load_small("faster_rcnn_resnest50_fpn_1x_coco.mmdet"), SceneItems(2)
    evaluation = run_evaluation(predictor, data=data)
    source = ReportSource(predictor.recipe, evaluation.dataset, evaluation.evaluator, {}, {})
    sides = [Side(name, ["0", "1"], stats, source) for name, stats in (("a", pixels([1, 5])), ("b", pixels([5, 2])))]
    page = comparison_page(compare(*sides))
    assert page.count("<img ") == 2 * 3  # ground truth and both predictions
    assert "From left to right: ground truth, first, second." in page
    report = Side("b", ["0", "1"], sides[1].statistics, None)
    page = comparison_page(compare(sides[0], report))
    assert page.count("<img ") == 2 * 2
    assert "From left to right: ground truth, first." in page
