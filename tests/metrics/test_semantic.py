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

from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.errors import OutputError
from splitnest.metrics.semantic import SemanticEvaluator
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories, from_names
from splitnest.structures.class_tables import class_table


class LabelMaps(SemanticDataset):
    """Label maps without images; None for a test set."""

    source = "labels"

    def __init__(self, maps: Sequence[NDArray[np.unsignedinteger]] | None, categories: Categories, number: int = 1):
        self.categories, self.has_annotations = categories, maps is not None
        self._maps, self._number = maps, number if maps is None else len(maps)

    def __len__(self) -> int:
        return self._number

    def name(self, index: int) -> str:
        return f"city/{index}.jpg"

    def read(self, index: int) -> NDArray[np.uint8]:
        raise AssertionError("an evaluator reads no image")

    def labels(self, index: int) -> NDArray[np.unsignedinteger]:
        assert self._maps is not None
        return self._maps[index]


def result(labels: NDArray[np.unsignedinteger], categories: Categories) -> SemanticSegmentation:
    return SemanticSegmentation(labels, image_size=(labels.shape[0], labels.shape[1]), categories=categories)


def evaluator_of(
    label_maps: Sequence[NDArray[np.unsignedinteger]],
    predictions: Sequence[NDArray[np.unsignedinteger]],
    num_classes: int,
) -> SemanticEvaluator:
    categories = from_names([f"class {k}" for k in range(num_classes)])
    evaluator = SemanticEvaluator(LabelMaps(label_maps, categories))
    for index, labels in enumerate(predictions):
        evaluator.update(index, result(labels, categories))
    return evaluator


def test_metrics_without_labeled_pixels_are_undefined() -> None:
    for label_maps in ([], [np.full((2, 3), 255, np.uint8)]):
        evaluator = evaluator_of(label_maps, [np.zeros_like(label_map) for label_map in label_maps], 2)
        assert evaluator.compute() == {"miou": -1.0, "macc": -1.0, "pixel_accuracy": -1.0}
        assert evaluator.per_class() == {f"class {k}": {"iou": -1.0, "accuracy": -1.0} for k in range(2)}


def test_published_metrics_are_reproduced(shared_data: Callable[[str], Path]) -> None:
    case = json.loads((shared_data("oracle_arrays") / "expected.json").read_text())["mean_iou"]
    label_maps, predictions = ([np.array(one, np.uint8) for one in case[key]] for key in ("references", "predictions"))
    evaluator = evaluator_of(label_maps, predictions, case["num_labels"])
    expected = [case["mean_iou"], case["mean_accuracy"], case["overall_accuracy"]]
    assert list(evaluator.compute().values()) == pytest.approx(expected, abs=1e-9)
    rows = evaluator.per_class().values()
    assert [row["iou"] for row in rows] == pytest.approx(case["per_category_iou"], abs=1e-8)
    assert [row["accuracy"] for row in rows] == pytest.approx(case["per_category_accuracy"], abs=1e-8)


NUM_CLASSES = 4
LABELS = st.sampled_from([*range(NUM_CLASSES), 255])
PIXELS = st.lists(st.tuples(LABELS, st.integers(0, NUM_CLASSES - 1)), min_size=1, max_size=12)


@given(st.lists(PIXELS, min_size=1, max_size=3))
def test_metrics_follow_their_definition(images: list[list[tuple[int, int]]]) -> None:
    label_maps, predictions = (
        [np.array([[pixel[side] for pixel in image]], np.uint8) for image in images] for side in (0, 1)
    )
    evaluator = evaluator_of(label_maps, predictions, NUM_CLASSES)
    pixels = [(true_label, label) for image in images for true_label, label in image if true_label != 255]
    ious, accuracies = {}, {}
    for k in range(NUM_CLASSES):
        both = sum(true_label == label == k for true_label, label in pixels)
        if union := sum(k in pixel for pixel in pixels):
            ious[k] = both / union
        if occurs := sum(true_label == k for true_label, _ in pixels):
            accuracies[k] = both / occurs
    same = [true_label == label for true_label, label in pixels]
    expected = [sum(values) / len(values) if values else -1 for values in (ious.values(), accuracies.values(), same)]
    assert list(evaluator.compute().values()) == pytest.approx(expected)
    for k, row in enumerate(evaluator.per_class().values()):
        assert row == pytest.approx({"iou": ious.get(k, -1), "accuracy": accuracies.get(k, -1)})


@pytest.mark.parametrize("num_classes", [5, 300])
def test_ground_truth_as_prediction_is_perfect(num_classes: int) -> None:
    categories = from_names([f"class {k}" for k in range(num_classes)])
    label_map = np.array(
        [[0, 1], [4, SemanticSegmentation.unlabeled(categories)]], SemanticSegmentation.label_dtype(categories)
    )
    evaluator = evaluator_of([label_map], [label_map], num_classes)
    assert evaluator.compute() == {"miou": 1.0, "macc": 1.0, "pixel_accuracy": 1.0}
    assert [row["iou"] for row in evaluator.per_class().values()][:5] == [1, 1, -1, -1, 1]


def test_label_maps_that_do_not_fit_are_errors() -> None:
    categories = from_names(["a", "b"])
    label_map = np.zeros((2, 3), np.uint8)
    evaluator = SemanticEvaluator(LabelMaps([label_map], categories))
    with pytest.raises(ValueError, match="shape"):
        evaluator.update(0, result(np.zeros((3, 2), np.uint8), categories))
    evaluator.update(0, result(label_map, categories))
    for index in (0, 1, -1):
        with pytest.raises(ValueError, match="no image"):
            evaluator.update(index, result(label_map, categories))


@pytest.mark.parametrize("table", ["cityscapes", "ade20k"])
def test_written_label_maps_have_the_ids_of_the_server(tmp_path: Path, table: str) -> None:
    categories = class_table(table)
    labels = np.array([[0, 1, 18, 255]], np.uint8)
    evaluator = SemanticEvaluator(LabelMaps(None, categories), categories.ids)
    evaluator.update(0, result(labels, categories))
    evaluator.write(tmp_path / "maps")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")] == [Path("maps/city/0.png")]
    with Image.open(tmp_path / "maps" / "city" / "0.png") as picture:
        assert np.array(picture).tolist() == [[*(categories[label].id for label in (0, 1, 18)), 0]]


@pytest.mark.parametrize("num_classes", [3, 300])
def test_written_label_maps_without_ids_have_class_indices(tmp_path: Path, num_classes: int) -> None:
    categories = from_names([f"class {k}" for k in range(num_classes)])
    labels = np.array([[0, num_classes - 1]], SemanticSegmentation.label_dtype(categories))
    evaluator = SemanticEvaluator(LabelMaps(None, categories))
    evaluator.update(0, result(labels, categories))
    evaluator.write(tmp_path)
    with Image.open(tmp_path / "city" / "0.png") as picture:
        assert np.array(picture).tolist() == labels.tolist()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        evaluator.write(tmp_path / "file")
