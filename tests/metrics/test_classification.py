"""Accuracy of classifiers against counts by hand, and the files of an evaluation."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers.image_tree import COLORS, recipe_of, write, write_classes
from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.formats.image_folders import ImageList
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.inference.resolve import complete
from splitnest.metrics.classification import ClassificationEvaluator
from splitnest.models.build import build_categories
from splitnest.structures import Classification, categories
from splitnest.structures.categories import Categories
from splitnest.visualize.confusion import HEATMAP_SIZE, MAX_NAMED, draw_confusion


def evaluator_of(
    labels: list[int] | None, probabilities: np.ndarray, classes: Categories, folder: Path = Path()
) -> ClassificationEvaluator:
    images = ImageList([f"{index}.png" for index in range(len(probabilities))], labels)
    evaluator = ClassificationEvaluator(ClassificationDataset(folder, images, classes))
    for index, row in enumerate(probabilities.astype(np.float32)):
        evaluator.update(index, Classification(row, image_size=(4, 4), categories=classes))
    return evaluator


def test_metrics_without_images_are_undefined() -> None:
    classes = categories.from_names("abcdef")
    empty = evaluator_of([], np.zeros((0, 6)), classes)
    assert empty.compute() == {"top1": -1, "top5": -1, "mean_class_top1": -1}
    assert set(empty.per_class()["a"].values()) == {-1}
    assert list(empty.pictures()) == ["confusion_matrix.png"]


def test_metrics_equal_counts_by_hand() -> None:
    rng = np.random.default_rng(0)
    classes = categories.from_names("abcdefgh")
    labels, probabilities = rng.integers(0, 7, 200), rng.dirichlet(np.ones(8), 200)
    probabilities[np.arange(200), labels] += 0.2
    probabilities /= probabilities.sum(1, keepdims=True)
    evaluator = evaluator_of(labels.tolist(), probabilities, classes)
    order = np.argsort(-probabilities, axis=1)
    is_correct = order[:, 0] == labels
    hits5 = [label in row[:5] for label, row in zip(labels, order, strict=True)]
    means = [is_correct[labels == label].mean() for label in range(7)]  # no image is of class 7
    metrics = evaluator.compute()
    assert metrics == pytest.approx(
        {"top1": is_correct.mean(), "top5": np.mean(hits5), "mean_class_top1": np.mean(means)}
    )
    for label, name in enumerate("abcdefg"):
        predicted = order[:, 0] == label
        assert evaluator.per_class()[name] == pytest.approx(
            {"top1": means[label], "precision": is_correct[predicted].mean() if predicted.any() else -1}
        )
    assert evaluator.per_class()["h"]["top1"] == -1
    confusion = evaluator.confusion()
    assert confusion.sum() == 200
    assert confusion[2, 5] == ((labels == 2) & (order[:, 0] == 5)).sum()


def test_five_classes_or_fewer_have_no_top5() -> None:
    metrics = evaluator_of([0, 1], np.array([[0.9, 0.1], [0.8, 0.2]]), categories.from_names("ab")).compute()
    assert metrics == {"top1": 0.5, "mean_class_top1": 0.5}


def test_each_image_is_added_once() -> None:
    classes = categories.from_names("ab")
    evaluator = evaluator_of([0], np.array([[0.9, 0.1]]), classes)
    for index in (0, 1, -1):
        with pytest.raises(ValueError, match=f"no image {index}, or it was added before"):
            evaluator.update(index, Classification(np.ones(2, np.float32), image_size=(4, 4), categories=classes))


def test_predictions_and_pictures_are_written(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / f"{index}.png", list(COLORS.values())[index])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.1, 0.6], [0.9, 0.06, 0.04]])
    evaluator = evaluator_of([0, 1, 2], probabilities, categories.from_names(COLORS), tmp_path)
    evaluator.write(tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    assert [row["file"] for row in rows] == ["0.png", "1.png", "2.png"]
    expected = {"file": "1.png", "true_class": "green"} | {"class_1": "red", "probability_1": "0.6"}
    expected |= {"class_2": "blue", "probability_2": "0.3"} | {"class_3": "green", "probability_3": "0.1"}
    assert rows[1] == expected
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "predictions.csv", "confusion_matrix.png", "mistakes.jpg",
    }  # fmt: skip
    with Image.open(tmp_path / "out" / "mistakes.jpg") as picture:  # worst first: red, then green
        sheet = np.asarray(picture.convert("RGB")).astype(int)
    half = sheet.shape[1] // 2
    assert sheet[sheet.shape[0] // 2, half // 2].argmax() == 0
    assert sheet[sheet.shape[0] // 2, half + half // 2].argmax() == 1


def test_only_predictions_are_written_without_ground_truth(tmp_path: Path) -> None:
    evaluator = evaluator_of(None, np.array([[0.7, 0.3]]), categories.from_names("ab"), tmp_path)
    evaluator.write(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.csv"]
    assert "true_class" not in (tmp_path / "out" / "predictions.csv").read_text()


@pytest.mark.parametrize("count", [1, 3, MAX_NAMED + 1, HEATMAP_SIZE + 1])
def test_confusion_matrix_is_drawn(count: int) -> None:
    confusion = np.eye(count, dtype=np.int64) * 9
    confusion[0, count - 1] += 1
    picture = draw_confusion(confusion, [f"class {index}" for index in range(count)]).astype(int)
    green = (picture[..., 1] > picture[..., 0] + 30).sum()
    red = (picture[..., 0] > picture[..., 1] + 30).sum()
    assert green > 0
    assert (red > 0) == (count > 1)
    assert max(picture.shape) < 4000


def test_evaluation_equals_single_predictions(tmp_path: Path) -> None:
    write_classes(tmp_path, {"val": 3})
    recipe = complete(recipe_of(tmp_path, **{"data.train_images": None}))
    predictor = splitnest.load(
        "resnest50_imagenet.official",
        weights=None,
        device="cpu",
        overrides=recipe.model_dump(exclude={"task", "train"}, exclude_none=True),
    )
    metrics = run_evaluation(predictor, batch_size=4).metrics
    num_correct = 0
    for label, name in enumerate(build_categories(recipe).names):
        results = predictor.predict(str(tmp_path / "val" / name))
        num_correct += sum(result.top[0].label == label for result in results)
    assert metrics["top1"] == pytest.approx(num_correct / 9)
    assert splitnest.evaluate(predictor, batch_size=2) == metrics
