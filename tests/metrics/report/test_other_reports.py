"""Numbers of reports on classification, segmentation and poses, each against an independent computation."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import person_tree
from helpers.panoptic_segments import CLASSES as SEGMENT_CLASSES
from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.formats.image_folders import ImageList
from splitnest.data.pose.dataset import PoseDataset
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.metrics.classification import ClassificationEvaluator
from splitnest.metrics.keypoints import KeypointEvaluator
from splitnest.metrics.report.analysis import ALL_IMAGES
from splitnest.metrics.report.segmentation import analyze_panoptic
from splitnest.metrics.semantic import SemanticEvaluator
from splitnest.metrics.statistics.segments import SegmentStatistics
from splitnest.structures import Classification, Poses, SemanticSegmentation
from splitnest.structures.categories import from_names
from splitnest.tasks import task_of

NAMES = tuple("abcdefg")
CLASSES = from_names(NAMES)


def classifier(labels: Sequence[int], probabilities: NDArray[np.floating]) -> ClassificationEvaluator:
    images = ImageList([f"{index}.png" for index in range(len(labels))], list(labels))
    evaluator = ClassificationEvaluator(ClassificationDataset(Path(), images, CLASSES))
    for index, row in enumerate(probabilities.astype(np.float32)):
        evaluator.update(index, Classification(row, image_size=(4, 4), categories=CLASSES))
    return evaluator


def test_classification_of_nothing() -> None:
    analysis = classifier([], np.zeros((0, 7))).analyze({"none": []})
    assert (analysis.worst, analysis.label_errors) == ([], [])
    assert analysis.numbers["slices"]["none"]["top1"] == -1
    json.dumps(analysis.numbers, allow_nan=False)


def test_classification() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 6, 300), rng.dirichlet(np.full(7, 0.3), 300).astype(np.float32)
    right = rng.random(300) < 0.7
    probabilities[right] = 0.3 * probabilities[right] + 0.7 * np.eye(7, dtype=np.float32)[labels[right]]
    evaluator = classifier(labels.tolist(), probabilities)
    part = np.arange(0, 300, 3)
    analysis = evaluator.analyze({"part": part.tolist()})
    found, predicted, top = analysis.numbers, probabilities.argmax(1), probabilities.max(1)
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (labels, predicted), 1)
    assert np.array_equal(found["confusion"]["matrix"], confusion)
    pairs = {(NAMES[r], NAMES[c]): confusion[r, c] for r in range(7) for c in range(7) if r != c and confusion[r, c]}
    best = found["confused"][0]
    assert best["count"] == max(pairs.values()) == pairs[best["class"], best["predicted"]]
    assert best["fraction"] == pytest.approx(best["count"] / (labels == NAMES.index(best["class"])).sum())
    error = 0.0
    for row in found["calibration"]["bins"]:
        in_bin = (top >= row["bin_lower"]) & (top < row["bin_upper"])
        assert row["count"] == in_bin.sum()
        if in_bin.any():
            gap = abs(top[in_bin].mean(dtype=float) - (predicted == labels)[in_bin].mean())
            error += in_bin.mean() * gap
    assert found["calibration"]["ece"] == pytest.approx(error, abs=1e-6)
    assert found["slices"]["part"]["top1"] == pytest.approx((predicted == labels)[part].mean())
    assert found["slices"][ALL_IMAGES]["top1"] == evaluator.compute()["top1"]
    wrong = np.flatnonzero(predicted != labels)
    true = probabilities[np.arange(300), labels]
    assert [w.score for w in analysis.worst] == np.sort(true[wrong])[: len(analysis.worst)].tolist()
    mean = {k: top[(predicted == labels) & (predicted == k)].mean() for k in range(6)}
    suspects = {int(i) for i in wrong if top[i] >= mean.get(int(predicted[i]), 1)}
    assert {each.image_id for each in analysis.label_errors} <= suspects
    assert len(analysis.label_errors) == min(24, len(suspects))


class LabelMaps(SemanticDataset):
    source = "labels"
    categories = from_names(["sky", "road", "car", "boat"])

    def __init__(self, maps: Sequence[NDArray[np.uint8]]) -> None:
        self.maps = maps

    def __len__(self) -> int:
        return len(self.maps)

    def name(self, index: int) -> str:
        return f"{index}.png"

    def read(self, index: int) -> NDArray[np.uint8]:
        raise AssertionError("an analysis reads no image")

    def labels(self, index: int) -> NDArray[np.uint8]:
        return self.maps[index]


def segmentor(maps: Sequence[NDArray[np.uint8]], predicted: Sequence[NDArray[np.uint8]], **options: bool):  # type: ignore[no-untyped-def]
    dataset = LabelMaps(maps)
    evaluator = SemanticEvaluator(dataset, (7, 8, 11, 2), **options)
    for index, labels in enumerate(predicted):
        evaluator.update(index, SemanticSegmentation(labels, image_size=labels.shape, categories=dataset.categories))
    return evaluator


def test_segmentation_of_nothing() -> None:
    analysis = segmentor([np.full((4, 5), 255, np.uint8)], [np.zeros((4, 5), np.uint8)]).analyze({"one": [0]})
    assert analysis.worst == []
    assert analysis.numbers["slices"]["one"]["miou"] == -1
    json.dumps(analysis.numbers, allow_nan=False)


def test_segmentation() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 3, (6, 8)).astype(np.uint8) for _ in range(30)]
    for labels in maps:
        labels[0, :2] = 255
    noise = [rng.random((6, 8)) < share for share in rng.random(30)]
    predicted = [np.where(n, rng.integers(0, 3, (6, 8)), np.minimum(m, 2)) for n, m in zip(noise, maps, strict=True)]
    evaluator = segmentor(maps, [each.astype(np.uint8) for each in predicted])
    analysis = evaluator.analyze({"even": list(range(0, 30, 2))})

    def confusion_of(indices: Sequence[int]) -> NDArray[np.int64]:
        confusion = np.zeros((4, 4), np.int64)
        for index in indices:
            kept = maps[index] != 255
            np.add.at(confusion, (maps[index][kept], predicted[index][kept]), 1)
        return confusion

    def miou(indices: Sequence[int]) -> float:
        c = confusion_of(indices)[:3, :3]
        return float((c.diagonal() / (c.sum(0) + c.sum(1) - c.diagonal())).mean())

    assert np.array_equal(analysis.numbers["confusion"]["matrix"], confusion_of(range(30)))
    assert analysis.numbers["slices"]["even"]["miou"] == pytest.approx(miou(range(0, 30, 2)))
    assert analysis.numbers["slices"][ALL_IMAGES]["miou"] == pytest.approx(evaluator.compute()["miou"])
    order = sorted(range(30), key=lambda index: miou([index]))
    assert [worst.image_id for worst in analysis.worst] == order[:24]
    assert [worst.score for worst in analysis.worst] == pytest.approx([miou([index]) for index in order[:24]])
    result = evaluator.result(3)
    assert result is not None
    assert np.array_equal(result.labels, predicted[3])
    assert segmentor(maps, [p.astype(np.uint8) for p in predicted], keep_label_maps=False).result(3) is None
    first, second = SemanticEvaluator(LabelMaps(maps)), SemanticEvaluator(LabelMaps(maps))
    for index, labels in enumerate(predicted):
        part = (first, second)[index % 2]
        part.update(
            index, SemanticSegmentation(labels.astype(np.uint8), image_size=(6, 8), categories=LabelMaps.categories)
        )
    first.merge(second.state())
    assert np.array_equal(first.statistics().counts, evaluator.statistics().counts)


def test_panoptic_quality_by_class() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, (10, 4, len(SEGMENT_CLASSES))).astype(float)
    counts[:, 0] = 0.8 * counts[:, 1]
    per_class = {name: {"pq": 0.5, "sq": 0.8, "rq": 0.625} for name in SEGMENT_CLASSES.names}
    analysis = analyze_panoptic(per_class, SegmentStatistics(counts), range(10), {})
    found = analysis.numbers["panoptic"]["segments"]
    for k, name in enumerate(SEGMENT_CLASSES.names):
        assert found[name] == {
            "matched": counts[:, 1, k].sum(),
            "wrong": counts[:, 2, k].sum(),
            "missed": counts[:, 3, k].sum(),
        }
    pq = [
        np.mean([c[0, k] / (c[1, k] + c[2, k] / 2 + c[3, k] / 2) for k in range(c.shape[1]) if c[1:, k].any()])
        for c in counts
    ]
    assert [worst.score for worst in analysis.worst] == pytest.approx(sorted(pq))


def dogs(tmp_path: Path) -> tuple[PoseDataset, KeypointEvaluator]:
    recipe = person_tree.recipe_of(person_tree.write(tmp_path))
    dataset = task_of(recipe).open_dataset(recipe, "val")
    assert isinstance(dataset, PoseDataset)
    return dataset, KeypointEvaluator(dataset, recipe.input)


def test_poses_of_nothing(tmp_path: Path) -> None:
    _, evaluator = dogs(tmp_path)
    analysis = evaluator.analyze({"one": [3]})
    assert {row["oks"] for row in analysis.numbers["oks_by_keypoint"].values()} == {-1}
    assert analysis.numbers["oks_by_size"]["small"] == {"persons": 2, "matched": 0, "oks": -1}
    json.dumps(analysis.numbers, allow_nan=False)


def test_similarity_by_keypoint(tmp_path: Path) -> None:
    dataset, evaluator = dogs(tmp_path)
    keypoints = np.array([[[12, 12], [29, 15], [5, 5]]], np.float32)
    for image_id in (3, 8):
        evaluator.update(
            image_id,
            Poses(
                keypoints=keypoints,
                scores=np.full((1, 3), 0.9, np.float32),
                boxes=np.array([[5, 5, 40, 35]], np.float32),
                box_scores=np.ones(1, np.float32),
                image_size=(40, 60),
                categories=dataset.categories,
            ),
        )
    analysis = evaluator.analyze({"one": [3]})
    areas = dataset.file.areas[dataset.num_keypoints > 0]
    used = [
        float(area)
        for area, crowd in zip(areas, dataset.file.iscrowd[dataset.num_keypoints > 0], strict=True)
        if not crowd
    ]
    for name, distance, sigma in (("nose", 2.0, 0.1), ("left_hand", 2**0.5, 0.05)):
        expected = np.mean([np.exp(-(distance**2) / (2 * area * (2 * sigma) ** 2)) for area in used])
        row = analysis.numbers["oks_by_keypoint"][name]
        assert (row["labeled"], row["median_distance"]) == (2, pytest.approx(distance))
        assert row["oks"] == pytest.approx(expected)
    assert analysis.numbers["oks_by_keypoint"]["right_hand"]["labeled"] == 0
    small = analysis.numbers["oks_by_size"]["small"]
    of_persons = [
        np.mean([np.exp(-(d**2) / (2 * area * (2 * s) ** 2)) for d, s in ((2.0, 0.1), (2**0.5, 0.05))]) for area in used
    ]
    assert (small["persons"], small["matched"]) == (2, 2)
    assert small["oks"] == pytest.approx(np.mean(of_persons))
    result = evaluator.result(3)
    assert result is not None
    assert np.array_equal(result.keypoints, keypoints)
    assert evaluator.result(5) is None
