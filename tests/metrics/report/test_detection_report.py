"""Numbers of a report on detections, each against an independent computation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import coco_detections, random_detections
from helpers.random_detections import CLASSES, Sample, f1_at, iou, matches, num_instances
from splitnest.metrics.coco import CocoEvaluator
from splitnest.metrics.report.analysis import ALL_IMAGES, Analysis
from splitnest.metrics.report.detection_sections import ALL_CLASSES, threshold_section
from splitnest.structures.categories import from_names
from splitnest.structures.masks import rle_to_mask

NUM_IMAGES = 40
SLICES = {"first": [10 * n for n in range(1, 21)], "_overall": [50], "none": []}


@pytest.fixture(scope="module")
def images() -> list[Sample]:
    return random_detections.samples(NUM_IMAGES, seed=1)


@pytest.fixture(scope="module")
def evaluator(images: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> CocoEvaluator:
    return random_detections.evaluator(tmp_path_factory.mktemp("random") / "gt.json", images)


@pytest.fixture(scope="module")
def analysis(evaluator: CocoEvaluator) -> Analysis:
    return evaluator.analyze(SLICES)


@pytest.fixture(scope="module")
def numbers(analysis: Analysis) -> dict[str, Any]:
    json.dumps(analysis.numbers, allow_nan=False)
    found: dict[str, Any] = analysis.numbers["box"]
    return found


@pytest.mark.parametrize("annotations", [[], None, "some"])
def test_nothing_detected(tmp_path: Path, annotations: Any) -> None:
    changes = {} if annotations == "some" else {"annotations": annotations or []}
    evaluator = CocoEvaluator(coco_detections.write(tmp_path, **changes))
    analysis = evaluator.analyze({"some": [3]})
    assert set(analysis.numbers) == {"box", "mask"}
    found = analysis.numbers["box"]
    assert found["score_thresholds"]["overall"]["score"] is None
    assert found["calibration"]["num_detections"] == 0
    assert found["tide"]["counts"]["Miss"] == (2 if annotations == "some" else 0)
    assert found["slices"]["some"]["ap"] == (0 if annotations == "some" else -1)
    assert [worst.image_id for worst in analysis.worst] == ([3] if annotations == "some" else [])
    assert analysis.label_errors == []


@pytest.mark.parametrize(("score", "expected"), [(0.4, "0.5 on no detection is"), (0.8, "At 0.5 precision is 100.0 %")])
def test_text_about_the_default_threshold(score: float, expected: str, tmp_path: Path) -> None:
    evaluator = CocoEvaluator(coco_detections.write(tmp_path), ["bbox"])
    evaluator.update(3, coco_detections.detections([[5, 5, 25, 25]], [score], [0]))
    section = threshold_section("Boxes", evaluator.analyze({}).numbers["box"]["score_thresholds"])
    assert expected in section.text


def test_one_class_and_one_detection(tmp_path: Path) -> None:
    one = {"categories": [{"id": 1, "name": "all classes"}], "annotations": None}
    one["annotations"] = [{"id": 1, "image_id": 3, "category_id": 1, **coco_detections.square(5, 5, 20)}]
    evaluator = CocoEvaluator(coco_detections.write(tmp_path, **one), ["bbox"])
    evaluator.update(3, coco_detections.detections([[5, 5, 25, 25]], [0.8], [0], categories=from_names(["x"])))
    found = evaluator.analyze({}).numbers["box"]
    assert found["confusion"]["matrix"] == [[1, 0], [0, 0]]
    assert found["score_thresholds"]["overall"]["f1"] == 1


def test_score_thresholds(images: list[Sample], numbers: dict[str, Any]) -> None:
    found, plain = numbers["score_thresholds"], matches(images)
    for label, row in [(None, found["overall"]), *enumerate(found["by_class"].values())]:
        of_class = [m for m in plain if label in (None, m.label) and m.correct >= 0]
        for score, rates in ((row["score"], row), (0.5, row["at_default"])):
            correct = sum(m.correct for m in of_class if m.score >= score)
            taken = sum(m.score >= score for m in of_class)
            assert rates["precision"] == pytest.approx(correct / taken)
            assert rates["recall"] == pytest.approx(correct / num_instances(images, label))
            assert rates["f1"] == pytest.approx(f1_at(images, plain, score, label))
    assert list(found["by_class"]) == list(CLASSES.names)
    assert f1_at(images, plain, found["overall"]["score"]) >= f1_at(images, plain, 0.5)


def test_curves(images: list[Sample], numbers: dict[str, Any], evaluator: CocoEvaluator) -> None:
    found, plain = numbers["curves"], matches(images)
    for label, name in enumerate(CLASSES.names):
        curve = np.array(found["precision"][name])
        rows = sorted((m for m in plain if m.label == label and m.correct >= 0), key=lambda m: -m.score)
        correct = np.cumsum([m.correct for m in rows])
        precision, recall = correct / np.arange(1, len(rows) + 1), correct / num_instances(images, label)
        for point, value in zip(found["recall"], curve, strict=True):
            reached = recall >= point - 1e-12
            expected = precision[int(reached.argmax()) :].max() if reached.any() else 0
            assert value == pytest.approx(expected, abs=0.02)  # equal scores have no order
        for score, value in zip(found["score"], found["f1"][name], strict=True):
            assert value == pytest.approx(f1_at(images, plain, score, label), abs=1e-9)
    mean = np.mean([found["precision"][name] for name in CLASSES.names])
    assert mean == pytest.approx(evaluator.compute()["box_ap50"])
    assert found["precision"][ALL_CLASSES] == pytest.approx(
        np.mean([found["precision"][name] for name in CLASSES.names], axis=0).tolist()
    )


def test_ap_by_class_and_size(numbers: dict[str, Any], evaluator: CocoEvaluator) -> None:
    found, metrics, per_class = numbers["ap_by_class"], evaluator.compute(), evaluator.per_class()
    for name, row in found.items():
        assert row["ap"] == per_class[name]["box_ap"]
    for column in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar100"):
        values = [row[column] for row in found.values() if row[column] >= 0]
        assert (np.mean(values) if values else -1) == pytest.approx(metrics[f"box_{column}"])
    assert sum(row["instances"] for row in found.values()) == sum(
        row["instances"] for row in numbers["score_thresholds"]["by_class"].values()
    )


def test_calibration(images: list[Sample], numbers: dict[str, Any]) -> None:
    found, plain = numbers["calibration"], [m for m in matches(images) if m.correct >= 0]
    assert found["num_detections"] == len(plain)
    error = 0.0
    for row in found["bins"]:
        rows = [m for m in plain if row["bin_lower"] <= m.score < row["bin_upper"] or m.score == row["bin_upper"] == 1]
        assert row["count"] == len(rows)
        if rows:
            score, correct = np.mean([m.score for m in rows]), np.mean([m.correct for m in rows])
            assert (row["avg_confidence"], row["avg_accuracy"]) == pytest.approx((score, correct))
            error += len(rows) / len(plain) * abs(score - correct)
    assert found["ece"] == pytest.approx(error)


def plain_confusion(images: list[Sample], min_score: float) -> np.ndarray:
    """Match detections of any class greedily by score to the best free instance; the last index is background."""
    confusion = np.zeros((4, 4), int)
    for image in images:
        free = set(np.flatnonzero(~image.is_crowd).tolist())
        ignored = [m for m in matches([image]) if m.correct < 0]
        in_crowd = {(m.label, m.score) for m in ignored}
        taken = np.flatnonzero(image.scores >= min_score)
        taken = np.array([r for r in taken if (image.labels[r], image.scores[r]) not in in_crowd], np.int64)
        for row in taken[np.argsort(-image.scores[taken], kind="stable")].tolist():
            box = image.boxes[row].astype(float)
            overlaps = {g: iou(box, image.gt_boxes[g], False) for g in free}
            best = max(overlaps, key=lambda g: overlaps[g], default=None)
            if best is not None and overlaps[best] >= 0.5:
                confusion[image.gt_labels[best], image.labels[row]] += 1
                free.remove(best)
            else:
                confusion[3, image.labels[row]] += 1
        for g in free:
            confusion[image.gt_labels[g], 3] += 1
    return confusion


def test_confusion(images: list[Sample], numbers: dict[str, Any]) -> None:
    found = numbers["confusion"]
    assert found["min_score"] == numbers["score_thresholds"]["overall"]["score"]
    assert np.array_equal(found["matrix"], plain_confusion(images, found["min_score"]))
    assert np.array(found["matrix"])[:3, :3].sum() > 20


def test_slices(images: list[Sample], numbers: dict[str, Any], evaluator: CocoEvaluator, tmp_path: Path) -> None:
    found = numbers["slices"]
    assert list(found) == [ALL_IMAGES, "first", "_overall", "none"]
    assert found[ALL_IMAGES]["ap"] == pytest.approx(evaluator.compute()["box_ap"])
    first = random_detections.evaluator(tmp_path / "first.json", images[:20]).compute()
    for name in ("ap", "ap50", "ap75", "ar100"):
        assert found["first"][name] == pytest.approx(first[f"box_{name}"], abs=1e-12)
    assert (found["first"]["images"], found["none"]["images"], found["none"]["ap"]) == (20, 0, -1)


def test_worst_images(images: list[Sample], analysis: Analysis, numbers: dict[str, Any]) -> None:
    best, plain = numbers["score_thresholds"]["overall"]["score"], matches(images)
    scores = [worst.score for worst in analysis.worst]
    assert scores == sorted(scores)
    for worst in analysis.worst:
        index = worst.image_id // 10 - 1
        of_image = [m for m in plain if m.image == index]
        assert worst.score == pytest.approx(f1_at(images[index : index + 1], of_image, best))
    shown = {worst.image_id // 10 - 1 for worst in analysis.worst}
    for index in set(range(NUM_IMAGES)) - shown:
        of_image = [m for m in plain if m.image == index and m.score >= best and m.correct >= 0]
        if of_image or num_instances(images[index : index + 1]):
            assert f1_at(images[index : index + 1], of_image, best) >= scores[-1]


def test_label_errors_are_confident_detections_of_other_classes(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(coco_detections.write(tmp_path), ["bbox"])
    boxes = [[5, 5, 25, 25], [12, 3, 47, 38], [30, 0, 40, 6]]
    evaluator.update(3, coco_detections.detections(boxes, [0.95, 0.9, 0.2], [1, 1, 0]))
    (error,) = evaluator.analyze({}).label_errors
    assert error.image_id == 3
    assert error.text == "cat 0.95, annotated as person (IoU 1.00)"
    assert error.box_xywh == [5, 5, 20, 20]


TIDE = {
    "bbox": {
        "counts": {"Cls": 74, "Loc": 1, "Both": 0, "Dupe": 1, "Bkg": 0, "Miss": 106},
        "delta_ap": {"Cls": 15.5688, "Loc": 0.2474, "Both": 0.0, "Dupe": 0.0206, "Bkg": 0.0, "FP": 7.4063},
    },
    "segm": {
        "counts": {"Cls": 69, "Loc": 82, "Both": 5, "Dupe": 0, "Bkg": 4, "Miss": 116},
        "delta_ap": {"Cls": 12.6168, "Loc": 12.5951, "Both": 0.3452, "Dupe": 0.0, "Bkg": 0.2911, "FP": 9.4027},
    },
}
"""Errors of tidecv 1.0.1 on COCO's published example detections, without those of classes that have no instances."""


@pytest.mark.parametrize(("iou_type", "prefix"), [("bbox", "box"), ("segm", "mask")])
def test_tide_errors_equal_those_of_its_authors(iou_type: str, prefix: str, shared_data: Callable[[str], Path]) -> None:
    """Counts are equal; AP differs by its recall points and, for missed instances, by classes without any left."""
    folder = shared_data("oracle_coco_ap")
    evaluator = oracle_evaluator(folder, iou_type)
    found = evaluator.analyze({}).numbers[prefix]["tide"]
    assert found["counts"] == TIDE[iou_type]["counts"]
    for name, value in TIDE[iou_type]["delta_ap"].items():
        assert 100 * found["delta_ap"][name] == pytest.approx(value, abs=0.06), name


def oracle_evaluator(folder: Path, iou_type: Any) -> CocoEvaluator:
    """Return an evaluator of published detections of classes with instances."""
    path = folder / "instances_val2014_100.json"
    kind = {"bbox": "bbox", "segm": "segm"}[iou_type]
    rows = json.loads((folder / f"instances_val2014_fake{kind}100_results.json").read_text())
    evaluator = CocoEvaluator(path, [iou_type])
    content = json.loads(path.read_text())
    used = {row["category_id"] for row in content["annotations"] if not row["iscrowd"]}
    sizes = {row["id"]: (row["height"], row["width"]) for row in content["images"]}
    label_of = {id_: label for label, id_ in enumerate(evaluator.categories.ids)}
    for image_id, size in sizes.items():
        of_image = [row for row in rows if row["image_id"] == image_id and row["category_id"] in used]
        masks = None
        if iou_type == "segm":
            masks = np.array([rle_to_mask(row["segmentation"]) for row in of_image], bool).reshape(-1, *size)
        boxes = np.array([row.get("bbox", [0, 0, 1, 1]) for row in of_image], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        evaluator.update(
            image_id,
            coco_detections.detections(
                boxes,
                [row["score"] for row in of_image],
                [label_of[row["category_id"]] for row in of_image],
                masks,
                image_size=size,
                categories=evaluator.categories,
            ),
        )
    return evaluator
