"""Metrics of choices of images, against the evaluators on files with these images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import random_detections
from splitnest.metrics.matches import Matches
from splitnest.metrics.statistics.accuracy import AccuracyStatistics
from splitnest.metrics.statistics.average_precision import PrecisionStatistics
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.metrics.statistics.combined import CombinedStatistics
from splitnest.metrics.statistics.pixels import PixelStatistics, pixel_counts
from splitnest.metrics.statistics.segments import SegmentStatistics


def accuracy(seed: int = 0, num_images: int = 40, num_classes: int = 7) -> AccuracyStatistics:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes - 1, num_images)
    top = np.array([rng.permutation(num_classes)[:5] for _ in range(num_images)]).reshape(num_images, 5)
    return AccuracyStatistics(labels, top == labels[:, None], rng.random(num_images), True)


def pixels(seed: int = 0, num_images: int = 12, num_classes: int = 4) -> PixelStatistics:
    confusions = np.random.default_rng(seed).integers(0, 50, (num_images, num_classes, num_classes))
    return PixelStatistics(np.array([pixel_counts(each) for each in confusions]).reshape(-1, 3, num_classes))


def segments(seed: int = 0, num_images: int = 12, num_classes: int = 4) -> SegmentStatistics:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (num_images, 4, num_classes)).astype(float)
    counts[:, 0] = counts[:, 1] * rng.uniform(0.5, 1, (num_images, num_classes))
    return SegmentStatistics(counts)


def precision(tmp_path: Path, seed: int = 0, count: int = 16) -> PrecisionStatistics:
    images = random_detections.samples(count, seed)
    evaluator = random_detections.evaluator(tmp_path / f"{seed}.json", images)
    return PrecisionStatistics(evaluator.matches("bbox"), "box_")


def test_no_images_and_no_ground_truth_are_undefined() -> None:
    none = np.zeros((10, 0), bool)
    empty = PrecisionStatistics(
        Matches(*(np.zeros(0, np.int64),) * 3, np.zeros(0), none, none, np.zeros((3, 2), np.int64))
    )
    weights = np.ones((2, 3), np.int64)
    assert {name: values.tolist() for name, values in empty.metrics(weights).items()} == {
        "ap": [-1, -1],
        "ap50": [-1, -1],
        "ap75": [-1, -1],
    }
    assert np.isnan(empty.image_scores()).all()
    for each in (pixels(num_images=3), segments(num_images=3), accuracy(num_images=3)):
        nothing = each.metrics(np.zeros((2, 3), np.int64))
        assert all(values.tolist() == [-1, -1] for values in nothing.values())


def test_average_precision_of_images_drawn_several_times(tmp_path: Path) -> None:
    """An image that was drawn twice counts as two images of a file."""
    images = random_detections.samples(16, seed=3)
    statistics = precision(tmp_path, seed=3)
    weights = np.random.default_rng(0).integers(0, 4, (6, 16))
    weights[0] = 1
    found = statistics.metrics(weights)
    for row, counts in enumerate(weights.tolist()):
        drawn = [image for image, count in zip(images, counts, strict=True) for _ in range(count)]
        expected = random_detections.evaluator(tmp_path / "drawn.json", drawn).compute()
        for name in ("box_ap", "box_ap50", "box_ap75"):
            # duplicates have equal scores: their order differs from that of a file, and so do steps of the curve
            tolerance = 1e-12 if max(counts) == 1 else 0.02
            assert found[name][row] == pytest.approx(expected[name], abs=tolerance), (row, name)


def test_average_precision_of_parts_of_a_dataset(tmp_path: Path) -> None:
    images = random_detections.samples(16, seed=4)
    statistics = precision(tmp_path, seed=4)
    weights = np.array([[1] * 8 + [0] * 8, [0, 1] * 8])
    found = statistics.metrics(weights)
    for row, counts in enumerate(weights.tolist()):
        part = [image for image, count in zip(images, counts, strict=True) if count]
        expected = random_detections.evaluator(tmp_path / "part.json", part).compute()
        assert [found[name][row] for name in found] == pytest.approx([expected[name] for name in found], abs=1e-12)


def test_image_scores_are_f1_scores(tmp_path: Path) -> None:
    images = random_detections.samples(16, seed=5)
    statistics, plain = precision(tmp_path, seed=5), random_detections.matches(images)
    grid = sorted({m.score for m in plain})
    best = max(grid, key=lambda score: (random_detections.f1_at(images, plain, score), score))
    for index, score in enumerate(statistics.image_scores().tolist()):
        of_image = [m for m in plain if m.image == index]
        has_any = random_detections.num_instances(images[index : index + 1]) or any(
            m.score >= best and m.correct >= 0 for m in of_image
        )
        expected = random_detections.f1_at(images[index : index + 1], of_image, best) if has_any else np.nan
        assert score == pytest.approx(expected, nan_ok=True), index


def test_accuracy_by_counting() -> None:
    statistics, weights = accuracy(), np.random.default_rng(1).integers(0, 3, (4, 40))
    found = statistics.metrics(weights)
    for row, counts in enumerate(weights):
        drawn = np.repeat(np.arange(40), counts)
        labels, correct = statistics.labels[drawn], statistics.is_correct[drawn]
        assert found["top1"][row] == pytest.approx(correct[:, 0].mean())
        assert found["top5"][row] == pytest.approx(correct.any(axis=1).mean())
        means = [correct[labels == label, 0].mean() for label in np.unique(labels)]
        assert found["mean_class_top1"][row] == pytest.approx(np.mean(means))


def test_mean_iou_by_adding_confusion_matrices() -> None:
    confusions = np.random.default_rng(0).integers(0, 50, (12, 4, 4))
    confusions[:, 3] = confusions[:, :, 3] = 0  # a class that does not occur
    statistics = PixelStatistics(np.array([pixel_counts(each) for each in confusions]))
    weights = np.random.default_rng(1).integers(0, 3, (4, 12))
    found = statistics.metrics(weights)
    for row, counts in enumerate(weights):
        total = sum(count * each for count, each in zip(counts, confusions, strict=True))[:3, :3]
        iou = total.diagonal() / (total.sum(0) + total.sum(1) - total.diagonal())
        assert found["miou"][row] == pytest.approx(iou.mean())
        assert found["macc"][row] == pytest.approx((total.diagonal() / total.sum(1)).mean())
        assert found["pixel_accuracy"][row] == pytest.approx(total.trace() / total.sum())


def test_panoptic_quality_by_the_definition() -> None:
    statistics, weights = segments(), np.random.default_rng(1).integers(0, 3, (4, 12))
    found = statistics.metrics(weights)
    for row, counts in enumerate(weights):
        ious, matched, positives, negatives = np.tensordot(counts, statistics.counts, axes=1)
        pq = ious / (matched + positives / 2 + negatives / 2)
        assert found["pq"][row] == pytest.approx(pq.mean())
        assert found["sq"][row] == pytest.approx((ious / matched).mean())


def parts(tmp_path: Path) -> list[ImageStatistics]:
    return [precision(tmp_path, count=12), pixels(), segments(), accuracy(num_images=12)]


def test_arrays_are_plain_and_complete(tmp_path: Path) -> None:
    statistics = CombinedStatistics(parts(tmp_path))
    np.savez(tmp_path / "stored.npz", **statistics.arrays())  # type: ignore[arg-type]
    with np.load(tmp_path / "stored.npz", allow_pickle=False) as stored:
        again = CombinedStatistics.from_arrays(dict(stored))
    weights = np.ones((1, 12), np.int64)
    assert again.num_images == 12
    assert again.metrics(weights) == statistics.metrics(weights)
    assert np.array_equal(again.image_scores(), statistics.image_scores(), equal_nan=True)


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": np.array(["unknown"])},
        {"kinds": np.array([], str)},
        {"0.scores": np.zeros(3)},
        {"0.images": np.full(1, 99)},
        {"1.counts": np.zeros((12, 2, 4))},
        {"2.counts": np.zeros(3)},
        {"3.labels": np.zeros(5, np.int64)},
    ],
)
def test_damaged_arrays_are_errors(tmp_path: Path, change: dict[str, Any]) -> None:
    arrays = CombinedStatistics(parts(tmp_path)).arrays()
    with pytest.raises((KeyError, ValueError)):
        CombinedStatistics.from_arrays({**arrays, **change})
