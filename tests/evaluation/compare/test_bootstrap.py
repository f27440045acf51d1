"""Bootstrap intervals of differences: against hotcoco, and what they say of equal and of different models."""

from pathlib import Path

import numpy as np
import pytest

from helpers import random_detections
from splitnest.evaluation.compare.bootstrap import differences
from splitnest.metrics.statistics.accuracy import AccuracyStatistics
from splitnest.metrics.statistics.pixels import PixelStatistics


def classifier(is_correct: np.ndarray) -> AccuracyStatistics:
    zeros = np.zeros(len(is_correct), np.int64)
    return AccuracyStatistics(zeros, is_correct[:, None], is_correct.astype(float), False)


def test_undefined_metrics_have_no_interval() -> None:
    nothing = PixelStatistics(np.zeros((3, 3, 2), np.int64))
    for each in differences(nothing, nothing):
        assert (each.first, each.second, each.delta, each.interval, each.is_certain) == (-1, -1, None, None, False)


def test_a_model_equals_itself() -> None:
    model = classifier(np.arange(50) % 3 > 0)
    for each in differences(model, model):
        assert (each.delta, each.interval, each.is_certain) == (0, (0, 0), False)


def test_interval_of_accuracy_is_that_of_the_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random(2000) < 0.7, rng.random(2000) < 0.78
    found = differences(classifier(one), classifier(other))[0]
    change = other.astype(float) - one
    assert found.delta == pytest.approx(change.mean())
    spread = 1.96 * change.std() / np.sqrt(2000)
    assert found.interval == pytest.approx((change.mean() - spread, change.mean() + spread), abs=0.003)
    assert found.is_certain
    assert differences(classifier(one), classifier(other)) == differences(classifier(one), classifier(other))


def test_average_precision_has_the_interval_of_hotcoco(tmp_path: Path) -> None:
    hotcoco = pytest.importorskip("hotcoco")
    images = [random_detections.samples(40, seed=0, noise=noise) for noise in (6.0, 2.0)]
    files = tmp_path / "gt.json"
    evaluators = [random_detections.evaluator(files, each) for each in images]
    theirs = hotcoco.compare(*(each.evaluate_type("bbox") for each in evaluators), n_bootstrap=400, seed=1)
    found = {each.metric: each for each in differences(*(each.statistics() for each in evaluators))}
    for name, key in (("box_ap", "AP"), ("box_ap50", "AP50"), ("box_ap75", "AP75")):
        assert found[name].delta == pytest.approx(theirs["deltas"][key], abs=1e-12)
        assert found[name].interval is not None
        ends = theirs["ci"][key]["lower"], theirs["ci"][key]["upper"]
        assert found[name].interval == pytest.approx(ends, abs=0.03)
    assert found["box_ap"].is_certain
