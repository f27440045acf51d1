"""Accuracy of classifiers against counting by hand, and what is written of an evaluation."""

import csv
from pathlib import Path

import numpy as np
import pytest
from image_tree import COLORS, recipe_of, write, write_classes
from PIL import Image

import splitnest
from splitnest.build import build_categories
from splitnest.data import categories
from splitnest.data.categories import Categories
from splitnest.data.image_labels import LabelledImages
from splitnest.evaluation.classification import ClassificationEvaluator
from splitnest.evaluator import run
from splitnest.resolve import completed
from splitnest.results import Classification
from splitnest.visualize.confusion import MAX_NAMED, draw_confusion


def evaluated(
    labels: list[int] | None, probabilities: np.ndarray, classes: Categories, folder: Path = Path()
) -> ClassificationEvaluator:
    names = [f"{index}.png" for index in range(len(probabilities))]
    evaluator = ClassificationEvaluator(LabelledImages(folder, names, labels, classes))
    for index, row in enumerate(probabilities.astype(np.float32)):
        evaluator.update(index, Classification(row, image_size=(4, 4), categories=classes))
    return evaluator


def test_nothing_to_measure() -> None:
    classes = categories.from_names("abcdef")
    empty = evaluated([], np.zeros((0, 6)), classes)
    assert empty.compute() == {"top1": -1, "top5": -1, "mean_class_top1": -1}
    assert set(empty.per_class()["a"].values()) == {-1}
    assert list(empty.pictures()) == ["confusion_matrix.png"]


def test_metrics_are_counts() -> None:
    rng = np.random.default_rng(0)
    classes = categories.from_names("abcdefgh")
    labels, probabilities = rng.integers(0, 7, 200), rng.dirichlet(np.ones(8), 200)
    probabilities[np.arange(200), labels] += 0.2
    probabilities /= probabilities.sum(1, keepdims=True)
    evaluator = evaluated(labels.tolist(), probabilities, classes)
    order = np.argsort(-probabilities, axis=1)
    first = order[:, 0] == labels
    hits5 = [label in row[:5] for label, row in zip(labels, order, strict=True)]
    means = [first[labels == label].mean() for label in range(7)]  # nothing is of class 7
    found = evaluator.compute()
    assert found == pytest.approx({"top1": first.mean(), "top5": np.mean(hits5), "mean_class_top1": np.mean(means)})
    for label, name in enumerate("abcdefg"):
        taken = order[:, 0] == label
        assert evaluator.per_class()[name] == pytest.approx(
            {"top1": means[label], "precision": first[taken].mean() if taken.any() else -1}
        )
    assert evaluator.per_class()["h"]["top1"] == -1
    confusion = evaluator.confusion()
    assert confusion.sum() == 200
    assert confusion[2, 5] == ((labels == 2) & (order[:, 0] == 5)).sum()


def test_of_few_classes_there_is_no_top5() -> None:
    found = evaluated([0, 1], np.array([[0.9, 0.1], [0.8, 0.2]]), categories.from_names("ab")).compute()
    assert found == {"top1": 0.5, "mean_class_top1": 0.5}


def test_each_photograph_counts_once() -> None:
    classes = categories.from_names("ab")
    evaluator = evaluated([0], np.array([[0.9, 0.1]]), classes)
    for index in (0, 1, -1):
        with pytest.raises(ValueError, match=f"no photograph {index}, or it was added before"):
            evaluator.update(index, Classification(np.ones(2, np.float32), image_size=(4, 4), categories=classes))


def test_what_is_written(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / f"{index}.png", list(COLORS.values())[index])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.1, 0.6], [0.9, 0.06, 0.04]])
    evaluator = evaluated([0, 1, 2], probabilities, categories.from_names(COLORS), tmp_path)
    evaluator.write(tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    assert [row["file"] for row in rows] == ["0.png", "1.png", "2.png"]
    expected = {"file": "1.png", "class": "green"} | {"guess_1": "red", "probability_1": "0.6"}
    expected |= {"guess_2": "blue", "probability_2": "0.3"} | {"guess_3": "green", "probability_3": "0.1"}
    assert rows[1] == expected
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "predictions.csv", "confusion_matrix.png", "mistakes.jpg",
    }  # fmt: skip
    with Image.open(tmp_path / "out" / "mistakes.jpg") as picture:  # worst first: red, then green
        page = np.asarray(picture.convert("RGB")).astype(int)
    half = page.shape[1] // 2
    assert page[page.shape[0] // 2, half // 2].argmax() == 0
    assert page[page.shape[0] // 2, half + half // 2].argmax() == 1


def test_without_classes_guesses_alone_are_written(tmp_path: Path) -> None:
    evaluator = evaluated(None, np.array([[0.7, 0.3]]), categories.from_names("ab"), tmp_path)
    evaluator.write(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.csv"]
    assert "class" not in (tmp_path / "out" / "predictions.csv").read_text()


@pytest.mark.parametrize("count", [1, 3, MAX_NAMED + 1, 1200])
def test_a_confusion_matrix_is_drawn(count: int) -> None:
    confusion = np.eye(count, dtype=np.int64) * 9
    confusion[0, count - 1] += 1
    picture = draw_confusion(confusion, [f"class {index}" for index in range(count)]).astype(int)
    green = (picture[..., 1] > picture[..., 0] + 30).sum()
    red = (picture[..., 0] > picture[..., 1] + 30).sum()
    assert green > 0
    assert (red > 0) == (count > 1)
    assert max(picture.shape) < 4000


def test_evaluation_of_a_model_equals_predictions_one_by_one(tmp_path: Path) -> None:
    write_classes(tmp_path, {"val": 3})
    recipe = completed(recipe_of(tmp_path, **{"data.train_images": None}))
    predictor = splitnest.load(
        "resnest50_imagenet.official",
        weights=None,
        device="cpu",
        overrides=recipe.model_dump(exclude={"task", "train"}, exclude_none=True),
    )
    found = run(predictor, batch_size=4)
    right = 0
    for label, name in enumerate(build_categories(recipe).names):
        results = predictor.predict(str(tmp_path / "val" / name))
        right += sum(result.top[0].label == label for result in results)
    assert found.metrics["top1"] == pytest.approx(right / 9)
    assert splitnest.evaluate(predictor, batch_size=2) == found.metrics
