"""Mean IoU against published numbers and a plain definition; label maps as files."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.categories import Categories, from_names, named
from splitnest.data.semantic_labels import SemanticDataset, unlabelled
from splitnest.errors import DataError
from splitnest.evaluation.semantic import SemanticEvaluator
from splitnest.results import SemanticSegmentation


class Labels(SemanticDataset):
    """Label maps without photographs; None for a test set."""

    source = "labels"

    def __init__(self, maps: Sequence[NDArray[np.unsignedinteger]] | None, categories: Categories, number: int = 1):
        self.categories, self.has_annotations = categories, maps is not None
        self._maps, self._number = maps, number if maps is None else len(maps)

    def __len__(self) -> int:
        return self._number

    def name(self, index: int) -> str:
        return f"city/{index}.jpg"

    def read(self, index: int) -> NDArray[np.uint8]:
        raise AssertionError("an evaluator reads no photograph")

    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        assert self._maps is not None
        return self._maps[index]


def result(labels: NDArray[np.unsignedinteger], categories: Categories) -> SemanticSegmentation:
    return SemanticSegmentation(labels, image_size=(labels.shape[0], labels.shape[1]), categories=categories)


def evaluated(
    truths: Sequence[NDArray[np.unsignedinteger]], found: Sequence[NDArray[np.unsignedinteger]], num_classes: int
) -> SemanticEvaluator:
    categories = from_names([f"class {k}" for k in range(num_classes)])
    evaluator = SemanticEvaluator(Labels(truths, categories))
    for index, labels in enumerate(found):
        evaluator.update(index, result(labels, categories))
    return evaluator


def test_nothing_to_measure() -> None:
    for truths in ([], [np.full((2, 3), 255, np.uint8)]):
        evaluator = evaluated(truths, [np.zeros_like(truth) for truth in truths], 2)
        assert evaluator.compute() == {"miou": -1.0, "macc": -1.0, "pixel_accuracy": -1.0}
        assert evaluator.per_class() == {f"class {k}": {"iou": -1.0, "accuracy": -1.0} for k in range(2)}


def test_published_numbers(shared_data: Callable[[str], Path]) -> None:
    case = json.loads((shared_data("oracle_arrays") / "expected.json").read_text())["mean_iou"]
    truths, found = ([np.array(one, np.uint8) for one in case[key]] for key in ("references", "predictions"))
    evaluator = evaluated(truths, found, case["num_labels"])
    expected = [case["mean_iou"], case["mean_accuracy"], case["overall_accuracy"]]
    assert list(evaluator.compute().values()) == pytest.approx(expected, abs=1e-9)
    rows = evaluator.per_class().values()
    assert [row["iou"] for row in rows] == pytest.approx(case["per_category_iou"], abs=1e-8)
    assert [row["accuracy"] for row in rows] == pytest.approx(case["per_category_accuracy"], abs=1e-8)


NUM_CLASSES = 4
LABELS = st.sampled_from([*range(NUM_CLASSES), 255])
PIXELS = st.lists(st.tuples(LABELS, st.integers(0, NUM_CLASSES - 1)), min_size=1, max_size=12)


@given(st.lists(PIXELS, min_size=1, max_size=3))
def test_the_definition_pixel_by_pixel(images: list[list[tuple[int, int]]]) -> None:
    truths, found = ([np.array([[pixel[side] for pixel in image]], np.uint8) for image in images] for side in (0, 1))
    evaluator = evaluated(truths, found, NUM_CLASSES)
    pixels = [(truth, label) for image in images for truth, label in image if truth != 255]
    ious, accuracies = {}, {}
    for k in range(NUM_CLASSES):
        both = sum(truth == label == k for truth, label in pixels)
        if union := sum(k in pixel for pixel in pixels):
            ious[k] = both / union
        if occurs := sum(truth == k for truth, _ in pixels):
            accuracies[k] = both / occurs
    same = [truth == label for truth, label in pixels]
    expected = [sum(values) / len(values) if values else -1 for values in (ious.values(), accuracies.values(), same)]
    assert list(evaluator.compute().values()) == pytest.approx(expected)
    for k, row in enumerate(evaluator.per_class().values()):
        assert row == pytest.approx({"iou": ious.get(k, -1), "accuracy": accuracies.get(k, -1)})


@pytest.mark.parametrize("num_classes", [5, 300])
def test_the_truth_is_perfect(num_classes: int) -> None:
    categories = from_names([f"class {k}" for k in range(num_classes)])
    truth = np.array([[0, 1], [4, unlabelled(categories)]], SemanticSegmentation.label_dtype(categories))
    evaluator = evaluated([truth], [truth], num_classes)
    assert evaluator.compute() == {"miou": 1.0, "macc": 1.0, "pixel_accuracy": 1.0}
    assert [row["iou"] for row in evaluator.per_class().values()][:5] == [1, 1, -1, -1, 1]


def test_what_does_not_fit() -> None:
    categories = from_names(["a", "b"])
    truth = np.zeros((2, 3), np.uint8)
    evaluator = SemanticEvaluator(Labels([truth], categories))
    with pytest.raises(ValueError, match="shape"):
        evaluator.update(0, result(np.zeros((3, 2), np.uint8), categories))
    evaluator.update(0, result(truth, categories))
    for index in (0, 1, -1):
        with pytest.raises(ValueError, match="no photograph"):
            evaluator.update(index, result(truth, categories))


@pytest.mark.parametrize("table", ["cityscapes", "ade20k"])
def test_label_maps_hold_what_the_server_takes(tmp_path: Path, table: str) -> None:
    categories = named(table)
    labels = np.array([[0, 1, 18, 255]], np.uint8)
    evaluator = SemanticEvaluator(Labels(None, categories), categories.ids)
    evaluator.update(0, result(labels, categories))
    evaluator.write(tmp_path / "maps")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")] == [Path("maps/city/0.png")]
    with Image.open(tmp_path / "maps" / "city" / "0.png") as picture:
        assert np.array(picture).tolist() == [[*(categories[label].id for label in (0, 1, 18)), 0]]


@pytest.mark.parametrize("num_classes", [3, 300])
def test_label_maps_of_own_data_hold_indices(tmp_path: Path, num_classes: int) -> None:
    categories = from_names([f"class {k}" for k in range(num_classes)])
    labels = np.array([[0, num_classes - 1]], SemanticSegmentation.label_dtype(categories))
    evaluator = SemanticEvaluator(Labels(None, categories))
    evaluator.update(0, result(labels, categories))
    evaluator.write(tmp_path)
    with Image.open(tmp_path / "city" / "0.png") as picture:
        assert np.array(picture).tolist() == labels.tolist()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        evaluator.write(tmp_path / "file")
