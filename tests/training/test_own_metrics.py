"""Metrics of the user in evaluation and training."""

import copy
import csv
import pickle
from pathlib import Path
from typing import Any

import pytest

import splitnest
from helpers.image_tree import recipe_of, write_classes
from splitnest.errors import UsageError, UserCodeError
from splitnest.evaluation.predict_dataset import predict_dataset
from splitnest.metrics.own import ExtendedEvaluator
from splitnest.recipe.serialization import dump_yaml
from splitnest.structures import Classification
from splitnest.tasks import task_of


class Confidence(splitnest.Metric):
    """Mean probability of the true class."""

    def __init__(self, name: str = "confidence", value: Any = None) -> None:
        self.name, self.value, self.values = name, value, []

    def update(self, result: Classification, ground_truth: Classification) -> None:
        if self.value == "update":
            raise KeyError("update")
        self.values.append(float(result.probabilities[ground_truth.probabilities.argmax()]))

    def compute(self) -> dict[str, float]:
        value = sum(self.values) / len(self.values) if self.values else -1.0
        return {self.name: value if self.value is None else self.value}

    def merge(self, other: "Confidence") -> None:
        self.values += other.values


def settings(root: Path, **train: Any) -> tuple[Path, dict[str, Any]]:
    """Write a recipe of a small classifier; return its path, and overrides for a short training."""
    write_classes(root, {"train": 4, "val": 3})
    path = root / "small.yaml"
    path.write_text(dump_yaml(recipe_of(None)))
    return path, {"data.root": str(root), "train.epochs": 2, "train.evaluate_every": 1, "train": train}


def test_values_are_in_the_log_and_select_the_best_model(tmp_path: Path) -> None:
    recipe, values = settings(tmp_path, best_by="confidence")
    metric = Confidence()
    run = splitnest.train(recipe, values, out=tmp_path / "run", device="cpu", metrics=[metric])
    assert metric.values == []  # each evaluation has a copy
    with (run.folder / "metrics.csv").open() as file:
        logged = [float(row["confidence"]) for row in csv.DictReader(file) if row["confidence"]]
    assert len(logged) == 2
    assert next(iter(run.metrics)) == "confidence"
    assert run.metrics["confidence"] == pytest.approx(max(logged), rel=1e-5)
    metrics = splitnest.evaluate(splitnest.load(run.best, device="cpu"), metrics=[metric])
    assert metrics["confidence"] == pytest.approx(run.metrics["confidence"], abs=1e-5)
    assert {"top1", "mean_class_top1"} < metrics.keys()


def test_merged_shares_equal_one_evaluation(tmp_path: Path) -> None:
    settings(tmp_path)
    predictor = splitnest.load("resnest50_imagenet.official", weights=None, device="cpu", overrides={
        "data": {"root": str(tmp_path), "classes": ["blue", "green", "red"]},
        "model": {"backbone": {"depth": 14, "planes": 8, "stem_width": 8}},
        "input": {"size": 32, "crop": "timm", "crop_fraction": 1.0},
    })  # fmt: skip
    recipe = predictor.recipe
    task = task_of(recipe)
    dataset = task.open_dataset(recipe, "val")
    whole = predict_dataset(predictor.module, recipe, dataset, metrics=[Confidence()])
    assert len(whole.state()[1][0].values) == len(dataset) == 9

    def share(first: int) -> ExtendedEvaluator:
        def ground_truth(index: int) -> Classification:
            return task.ground_truth(dataset, index, recipe)

        evaluator = ExtendedEvaluator(task.evaluator(dataset, recipe), [Confidence()], ground_truth)
        for index in range(first, len(dataset), 2):
            evaluator.update(index, predictor.predict(dataset.read(index))[0])
        return evaluator

    merged = share(0)
    merged.merge(pickle.loads(pickle.dumps(share(1).state())))
    assert merged.compute() == pytest.approx(whole.compute(), abs=1e-6)
    assert merged.per_class().keys() == {"blue", "green", "red"}


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            Confidence(value="update"),
            r"Confidence failed in update with the image of id 0: KeyError: 'update'",
        ),
        (Confidence(value="much"), "Confidence failed in compute: ValueError: could not convert"),
        (Confidence(name="top1"), "Confidence returns top1, which is the name of another metric"),
    ],
)
def test_metric_that_fails_is_named_and_leaves_a_checkpoint(tmp_path: Path, metric: Confidence, message: str) -> None:
    recipe, values = settings(tmp_path)
    with pytest.raises(UserCodeError, match=message):
        splitnest.train(recipe, values, out=tmp_path / "run", device="cpu", metrics=[copy.deepcopy(metric)])
    resumed = splitnest.train(tmp_path / "run", resume=True, device="cpu")
    assert resumed.metrics.keys() == {"top1", "mean_class_top1"}


def test_object_that_is_no_metric_is_refused() -> None:
    for metric, message in ((Confidence, "the class Confidence"), (3, "type int without update, compute, merge")):
        with pytest.raises(UsageError, match=message):
            splitnest.evaluate("resnest50_imagenet.official", metrics=[metric])  # type: ignore[list-item]


def test_unknown_metric_of_best_by_is_an_error_before_the_training(tmp_path: Path) -> None:
    recipe, values = settings(tmp_path, best_by="miou")
    message = "best_by is miou, which is not a metric. Use one of top1, mean_class_top1, or set train.val_loss"
    with pytest.raises(UsageError, match=message):
        splitnest.train(recipe, values, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    for key in ("best_by", "val_loss", "patience"):
        value = {"best_by": "top1", "val_loss": True, "patience": 1}[key]
        without = {**values, "train": {key: value}, "data.val_images": None}
        with pytest.raises(UsageError, match=rf"train\.{key} needs evaluations, and there is no validation set"):
            splitnest.train(recipe, without, out=tmp_path / "run", device="cpu")
