"""Training of a tiny segmentor by its recipe: run folder, resuming, evaluation, dry run, cost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import splitnest
from helpers.tiny_training import assert_equal_tensors, interrupted, state_dict_of
from splitnest import zoo
from splitnest.cli.picture_names import named_sources
from splitnest.cli.predictions import write_predictions
from splitnest.cli.results import ResultsFile
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.errors import DataError, UsageError
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.evaluation.predict_dataset import predict_dataset
from splitnest.inference.load import load
from splitnest.models.build import build_categories, build_model
from splitnest.models.complexity import complexity
from splitnest.models.segmentation.segmentor import Segmentor
from splitnest.recipe import Recipe, SemanticRecipe, overrides
from splitnest.structures import Result, SemanticSegmentation
from splitnest.structures.batch import Batch
from splitnest.training.batches import open_training
from splitnest.training.memory import estimate_memory
from splitnest.training.train import plan, train
from splitnest.training.validation import open_validation

CLASSES = [*THING_NAMES, *STUFF_NAMES]
CONTENT: dict[str, Any] = {
    "base": "deeplabv3plus_resnest101_d8_cityscapes.mmseg",
    "name": "tiny",
    "data": {
        "format": "scenes",
        "classes": CLASSES,
        "train_count": 8,
        "val_count": 3,
        "height": 64,
        "width": 96,
    },
    "input": {"short_side": 64, "long_side": 96},
    "model": {
        "backbone": {"depth": 14, "planes": 8, "stem_width": 4, "base_width": 32, "norm": "bn"},
        "head_channels": 16,
        "auxiliary_channels": 8,
        "norm": "bn",
    },
    "train": {
        "batch_size": 4,
        "iterations": 4,
        "evaluate_every": 2,
        "save_every": 2,
        "init_from": None,
        "crop_size": [48, 64],
        "workers": 0,
    },
}


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    return path


@pytest.fixture(scope="module")
def finished(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of an uninterrupted training of 4 steps."""
    return train(recipe_file, out=tmp_path_factory.mktemp("runs") / "whole", device="cpu").folder


def as_semantic(recipe: Recipe) -> SemanticRecipe:
    assert isinstance(recipe, SemanticRecipe)
    return recipe


def test_run_folder_has_metrics_and_drawings(finished: Path) -> None:
    names = {"metrics.csv", "curves.png", "predictions.jpg", "last.pt", "best.pt"}
    assert names <= {path.name for path in finished.iterdir()}
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert ["miou" in row for row in rows] == [False, True, False, True]
    for row in rows:
        assert np.isfinite([row["loss_decode"], row["loss_auxiliary"]]).all()
    assert 0 <= rows[-1]["miou"] <= rows[-1]["macc"] <= 1
    with Image.open(finished / "predictions.jpg") as sheet:
        assert sheet.width > sheet.height  # three images, each beside its prediction


def test_resumed_run_equals_an_uninterrupted_one(finished: Path, recipe_file: Path, tmp_path: Path) -> None:
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        train(recipe_file, out=tmp_path / "run", device="cpu")
    resumed = train(tmp_path / "run", {"train.workers": 1}, resume=True, device="cpu")
    assert_equal_tensors(state_dict_of(finished / "last.pt"), state_dict_of(resumed.last))
    assert resumed.metrics == torch.load(finished / "best.pt", weights_only=True)["metrics"]


def test_evaluation_does_not_depend_on_batch_size_and_workers(finished: Path) -> None:
    expected = splitnest.evaluate(finished / "last.pt")
    assert list(expected) == ["miou", "macc", "pixel_accuracy"]
    evaluation = run_evaluation(finished / "last.pt", batch_size=2, workers=1)
    assert evaluation.metrics == expected
    assert list(evaluation.per_class) == CLASSES


def test_images_of_different_sizes_are_not_padded(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that pools whole images would see the padding, so a batch has images of one size."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name, size in (("a", (64, 96)), ("b", (80, 64)), ("c", (80, 64))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(rng.integers(0, 2, size, np.uint8)).save(tmp_path / "labels" / f"{name}.png")
    data = {"format": "folders", "root": str(tmp_path), "classes": ["cat", "dog"]}
    data |= {"val_images": "images", "val_annotations": "labels"}
    predictor = load(recipe_file, weights=None, device="cpu", overrides={"data": data})
    expected = run_evaluation(predictor).metrics
    batches: list[torch.Size] = []
    predict = Segmentor.predict

    def recording(model: Segmentor, batch: Batch) -> list[Result]:
        batches.append(batch.images.shape)
        return predict(model, batch)

    monkeypatch.setattr(Segmentor, "predict", recording)
    assert run_evaluation(predictor, batch_size=3).metrics == expected
    assert batches == [(1, 3, 64, 96), (2, 3, 80, 64)]
    (tmp_path / "labels" / "b.png").unlink()
    with pytest.raises(DataError, match=r"has images without a label map: b\.png"):
        run_evaluation(predictor)


@pytest.mark.parametrize("values", [{"input.window": [32, 32]}, {"model.head_channels": 4}])
def test_evaluation_cannot_change_the_network(finished: Path, values: dict[str, Any]) -> None:
    predictor = load(finished / "last.pt", device="cpu")
    with pytest.raises(UsageError, match="change the network, which exists already"):
        splitnest.evaluate(predictor, values)


def test_label_maps_of_a_batch_are_validated(finished: Path) -> None:
    predictor, image = load(finished / "last.pt", device="cpu"), np.zeros((40, 60, 3), np.uint8)
    labels = np.zeros((40, 60), np.uint8)
    labels[:2, :3] = 200
    last = len(CLASSES) - 1
    with pytest.raises(
        DataError, match=rf"semantic\[0\] has the value 200 in 6 pixels\. Use class indices from 0 to {last}, and 255"
    ):
        predictor.batch([image], semantic=[labels])
    with pytest.raises(DataError, match=r"semantic\[0\] has shape \(30, 60\), but its image \(40, 60\)"):
        predictor.batch([image], semantic=[labels[:30]])


def test_augmented_evaluation_takes_any_callable(finished: Path) -> None:
    recipe = as_semantic(zoo.load_recipe(finished / "recipe.yaml"))
    dataset = open_validation(recipe)
    assert dataset is not None
    sizes = []

    def predict_image(image: np.ndarray) -> SemanticSegmentation:
        sizes.append(image.shape)
        labels = np.zeros(image.shape[:2], np.uint8)
        return SemanticSegmentation(labels, image_size=image.shape[:2], categories=build_categories(recipe))

    predict_dataset(build_model(recipe).eval(), recipe, dataset, 2, predict_image=predict_image)
    assert sizes == [(64, 96, 3)] * 3


def test_predictions_are_written_as_pictures_and_label_maps(finished: Path, tmp_path: Path) -> None:
    predictor = splitnest.load(finished / "best.pt", device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    with ResultsFile(tmp_path / "r.json", tmp_path / "out") as results:
        sources = named_sources([str(tmp_path / "a.png")], tmp_path / "out")
        assert write_predictions(predictor, sources, tmp_path / "out", results, 0.5) == []
    (row,) = json.loads((tmp_path / "r.json").read_text())["images"]
    assert [Path(row[key]).name for key in ("picture", "map")] == ["a.jpg", "a_map.png"]
    (result,) = predictor.predict(image)
    assert isinstance(result, SemanticSegmentation)
    colors = np.array([category.color for category in result.categories], np.uint8)
    with Image.open(row["map"]) as colored:
        np.testing.assert_array_equal(np.array(colored), colors[result.labels])
    assert {segment["label"] for segment in row["result"]["segments"]} == set(np.unique(result.labels).tolist())


def test_plan_has_data_schedule_and_memory(recipe_file: Path) -> None:
    text = plan(recipe_file)
    for part in (
        "training: scenes: 8 of 8 images\n",
        "validation: scenes: 3 images",
        "4 steps of 4 images, 2 epochs of 2 steps",
        "learning rate 0.01 at step 0, 0.005405 at step 2",
        "MB (weights 1, gradients 1, optimizer 1, activations",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({}, "model.backbone.norm"),
        ({"model.backbone.norm": "gn"}, "model.norm"),
        ({"model.backbone.radix": 0, "model.head": "psp"}, "model.norm"),
    ],
)
def test_batch_norm_of_pooled_features_needs_two_images(recipe_file: Path, values: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageError, match=rf"With one image per forward pass.*, or {key}=gn"):
        plan(recipe_file, {"train.batch_size": 1, **values})


def test_one_image_is_enough_without_batch_norm_of_pooled_features(recipe_file: Path, tmp_path: Path) -> None:
    values = {"train.batch_size": 1, "train.iterations": 1, "model.backbone.norm": "gn", "model.head": "fcn"}
    assert train(recipe_file, values, out=tmp_path / "run", device="cpu").last.is_file()


def test_recipe_without_training_section_is_an_error(recipe_file: Path) -> None:
    with pytest.raises(UsageError, match="has no section 'train'"):
        open_training(as_semantic(overrides.apply(zoo.load_recipe(recipe_file), {"train": None})))


def test_test_set_is_not_validation_data(recipe_file: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    Image.new("L", (64, 64)).save(tmp_path / "b.png")
    data = {"format": "folders", "root": str(tmp_path), "classes": ["cat"], "val_images": "."}
    data |= {"train_images": ".", "train_annotations": ".", "val_annotations": None}
    with pytest.raises(DataError, match="has no annotations"):
        plan(recipe_file, {"data": data, "train.batch_size": 2})
    evaluation = run_evaluation(load(recipe_file, weights=None, device="cpu", overrides={"data": data}))
    assert evaluation.metrics == {}
    evaluation.evaluator.write(tmp_path / "maps")
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"a.png", "b.png"}


def test_multiply_adds_equal_a_count_by_hand() -> None:
    values = {"input.short_side": 64, "input.long_side": 96}
    recipe = as_semantic(overrides.apply(zoo.get("fcn_resnest101_d8_ade20k.mmseg"), values))
    classifier = overrides.apply(
        zoo.get("resnest101_imagenet.official"),
        {f"model.backbone.{key}": value for key, value in recipe.model.backbone.model_dump().items()},
    )
    cells = (64 // 8) * (96 // 8)
    head = cells * (9 * 2048 * 512 + 9 * 512 * 512 + 9 * (2048 + 512) * 512 + 512 * 150)
    of_segmentor, of_classifier = complexity(recipe), complexity(classifier)
    assert of_segmentor.size_hw == (64, 96)
    size_ratio = (64 * 96) / (of_classifier.size_hw[0] * of_classifier.size_hw[1])
    backbone = (of_classifier.multiply_adds - 2048 * 1000) * size_ratio
    # Split attention does not grow with the image.
    assert of_segmentor.multiply_adds - head == pytest.approx(backbone, rel=2e-3)


@pytest.mark.parametrize("name", ["fcn_resnest101_d8_cityscapes.mmseg", "deeplabv3plus_resnest101_d8_ade20k.mmseg"])
def test_estimated_memory_is_near_that_measured_by_mmsegmentation(name: str) -> None:
    recipe = overrides.apply(zoo.get(name), {"train.accumulate": 4})  # as many parts as the published training had GPUs
    fp32 = estimate_memory(recipe)
    assert 0.8 < sum(fp32) / 2**30 / recipe.published["train_memory_gb"] < 1.1
    bf16 = estimate_memory(overrides.apply(recipe, {"train.precision": "bf16"}))
    assert bf16.activations < 0.7 * fp32.activations
