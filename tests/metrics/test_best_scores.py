"""Matches as arrays, and score thresholds with the highest F1 score, against a plain matching."""

from pathlib import Path

import numpy as np
import pytest

from helpers import coco_detections, random_detections
from splitnest.metrics.best_scores import ScoreCurve, best_thresholds
from splitnest.metrics.coco import IOUS, CocoEvaluator
from splitnest.metrics.matches import Matches, f1_score
from splitnest.structures.score_thresholds import ScoreThresholds

NUM_IMAGES = 40


@pytest.fixture(scope="module")
def images() -> list[random_detections.Sample]:
    return random_detections.samples(NUM_IMAGES)


@pytest.fixture(scope="module")
def matches(images: list[random_detections.Sample], tmp_path_factory: pytest.TempPathFactory) -> Matches:
    path = tmp_path_factory.mktemp("random") / "gt.json"
    return random_detections.evaluator(path, images).matches("bbox")


def test_nothing_to_match(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(coco_detections.write(tmp_path), ["bbox"])
    matches = evaluator.matches("bbox")
    assert (len(matches.scores), matches.is_matched.shape, matches.num_gt.sum()) == (0, (len(IOUS), 0), 2)
    assert best_thresholds(matches) is None
    assert evaluator.score_thresholds() is None
    assert matches.counts(np.zeros(3)).tolist() == [[0, 0, 2], [0, 0, 0]]
    evaluator.update(3, coco_detections.detections([[0, 0, 2, 2]], [0.9], [0]))  # a wrong one
    assert evaluator.score_thresholds() is None
    no_gt = CocoEvaluator(coco_detections.write(tmp_path, annotations=[]), ["bbox"])
    no_gt.update(3, coco_detections.detections([[0, 0, 2, 2]], [0.9], [0]))
    assert no_gt.score_thresholds() is None
    assert np.isnan(f1_score(np.zeros(3, np.int64)))


@pytest.mark.parametrize("threshold", [0, 5])
def test_matches_equal_a_plain_matching(
    images: list[random_detections.Sample], matches: Matches, threshold: int
) -> None:
    plain = random_detections.matches(images, IOUS[threshold])
    correct = np.where(matches.is_ignored[threshold], -1, matches.is_matched[threshold])
    rows = zip(matches.images.tolist(), matches.labels.tolist(), matches.scores.tolist(), correct.tolist(), strict=True)
    assert sorted(rows) == sorted((m.image, m.label, m.score, m.correct) for m in plain)
    assert len(plain) > 100
    assert {m.correct for m in plain} == {-1, 0, 1}
    counts = matches.counts(np.full(3, 0.5), threshold)
    for index in range(NUM_IMAGES):
        kept = [m.correct for m in plain if m.image == index and m.score >= 0.5 and m.correct >= 0]
        missed = random_detections.num_instances(images[index : index + 1]) - sum(kept)
        assert counts[index].tolist() == [sum(kept), len(kept) - sum(kept), missed]


@pytest.mark.parametrize("label", [None, 0, 1, 2])
def test_best_threshold_has_the_highest_f1(
    images: list[random_detections.Sample], matches: Matches, label: int | None
) -> None:
    plain = random_detections.matches(images)
    curve = ScoreCurve.of(matches, label)
    best = curve.best()
    assert best is not None
    grid = [*np.linspace(0, 1, 201).tolist(), *matches.scores.tolist()]
    highest = max(random_detections.f1_at(images, plain, score, label) for score in grid)
    assert random_detections.f1_at(images, plain, best, label) == pytest.approx(highest, abs=1e-12)
    assert best not in matches.scores  # between two scores
    for score in (0.0, 0.37, 0.5, best, 1.0):
        f1 = f1_score(curve.counts(np.array(score)))
        assert f1 == pytest.approx(random_detections.f1_at(images, plain, score, label), abs=1e-12)


def test_thresholds_of_classes_do_not_lower_the_f1_of_all() -> None:
    """A class with many wrong detections has its best F1 where it lowers that of all classes together."""
    scores = np.concatenate([np.full(90, 0.9), np.full(60, 0.3), np.full(3, 0.2)])
    labels = np.concatenate([np.zeros(90, np.int64), np.ones(63, np.int64)])
    matched = np.concatenate([np.ones(90, bool), np.zeros(60, bool), np.ones(3, bool)])
    num_gt = np.zeros((1, 2), np.int64)
    num_gt[0] = 100, 10
    zeros = np.zeros_like(labels)
    matches = Matches(zeros, zeros, labels, scores, matched[None], np.zeros_like(matched)[None], num_gt)
    assert [ScoreCurve.of(matches, label).best() for label in (0, 1)] == pytest.approx([0.45, 0.1])
    found = best_thresholds(matches)
    assert found == ScoreThresholds(pytest.approx(0.6), (pytest.approx(0.6),) * 2)
    by_class, single = (f1_score(matches.counts(np.array(each)).sum(axis=0)) for each in ((0.45, 0.1), found.by_class))
    assert by_class < single


def test_thresholds_are_by_class_of_the_model(tmp_path: Path) -> None:
    """A file may have a subset of the classes; a class without ground truth gets the threshold of all."""
    evaluator = CocoEvaluator(coco_detections.write(tmp_path), ["bbox"])
    boxes = [[5, 5, 25, 25], [12, 3, 47, 38], [0, 0, 2, 2]]
    evaluator.update(3, coco_detections.detections(boxes, [0.9, 0.6, 0.7], [0, 1, 1]))
    found = evaluator.score_thresholds()
    assert found is not None
    assert found.overall == pytest.approx(0.3)
    assert found.by_class == pytest.approx((0.45, 0.3, 0.3))
    selected = found.select(coco_detections.detections(boxes, [0.44, 0.31, 0.29], [0, 1, 1]))
    assert selected.scores.tolist() == pytest.approx([0.31])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"overall": 2, "by_class": []}', '{"overall": NaN, "by_class": [0.1]}', "[" * 10000]
)
def test_json_that_is_not_valid_gives_no_thresholds(text: str) -> None:
    assert ScoreThresholds.from_json(text) is None


def test_json_round_trip() -> None:
    thresholds = ScoreThresholds(0.25, (0.1, 0.123456789))
    assert ScoreThresholds.from_json(thresholds.to_json()) == thresholds
