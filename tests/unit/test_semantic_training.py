"""A small segmentor from a recipe to a run: training on drawn scenes, resume, evaluation, dry run, cost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny_training import interrupted, state_of

import splitnest
from splitnest import recipes
from splitnest.batch import Batch
from splitnest.build import build_categories, build_model
from splitnest.complexity import complexity
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.errors import DataError, UsageError
from splitnest.evaluation.model import open_validation, predict_all
from splitnest.evaluator import run
from splitnest.pictures import write_predictions
from splitnest.predictor import load
from splitnest.recipe import Recipe, SemanticRecipe, overrides
from splitnest.results import Result, SemanticSegmentation
from splitnest.segmentation.segmentor import Segmentor
from splitnest.trainer import plan, train
from splitnest.training.data import open_training
from splitnest.training.memory import estimate

CLASSES = [*THING_NAMES, *STUFF_NAMES]
CONTENT: dict[str, Any] = {
    "base": "deeplabv3plus_resnest101_d8_cityscapes.mmseg",
    "name": "tiny",
    "data": {
        "format": "scenes",
        "classes": CLASSES,
        "scenes": {"train_count": 8, "val_count": 3, "height": 64, "width": 96},
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
        "unit": "iteration",
        "length": 4,
        "evaluate_every": 2,
        "save_every": 2,
        "start": None,
        "crop": [48, 64],
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
    """The folder of a whole training of 4 steps."""
    return train(recipe_file, out=tmp_path_factory.mktemp("runs") / "whole", device="cpu").folder


def semantic(recipe: Recipe) -> SemanticRecipe:
    assert isinstance(recipe, SemanticRecipe)
    return recipe


def test_the_folder_of_a_run(finished: Path) -> None:
    names = {"metrics.csv", "curves.png", "predictions.jpg", "last.pt", "best.pt"}
    assert names <= {path.name for path in finished.iterdir()}
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert ["miou" in row for row in rows] == [False, True, False, True]
    for row in rows:
        assert np.isfinite([row["loss_decode"], row["loss_auxiliary"]]).all()
    assert 0 <= rows[-1]["miou"] <= rows[-1]["macc"] <= 1
    with Image.open(finished / "predictions.jpg") as page:
        assert page.width > page.height  # three photographs, each beside its prediction


def test_a_broken_run_goes_on_as_if_it_had_not(finished: Path, recipe_file: Path, tmp_path: Path) -> None:
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        train(recipe_file, out=tmp_path / "run", device="cpu")
    resumed = train(tmp_path / "run", {"train.workers": 1}, resume=True, device="cpu")
    whole, found = state_of(finished / "last.pt"), state_of(resumed.last)
    assert all(torch.equal(whole[key], found[key]) for key in whole)
    assert resumed.metrics == torch.load(finished / "best.pt", weights_only=True)["metrics"]


def test_evaluation_in_batches_and_by_workers_is_the_same(finished: Path) -> None:
    expected = splitnest.evaluate(finished / "last.pt")
    assert list(expected) == ["miou", "macc", "pixel_accuracy"]
    found = run(finished / "last.pt", batch_size=2, workers=1)
    assert found.metrics == expected
    assert list(found.per_class) == CLASSES


def test_images_of_several_sizes_are_not_padded(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that pools whole images would see the padding; a batch holds images of one size instead."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name, size in (("a", (64, 96)), ("b", (80, 64)), ("c", (80, 64))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(rng.integers(0, 2, size, np.uint8)).save(tmp_path / "labels" / f"{name}.png")
    data = {"format": "folders", "root": str(tmp_path), "classes": ["cat", "dog"], "scenes": None}
    data |= {"val_images": "images", "val_annotations": "labels"}
    predictor = load(recipe_file, weights=None, device="cpu", overrides={"data": data})
    expected = run(predictor).metrics
    batches: list[torch.Size] = []
    predict = Segmentor.predict

    def watched(model: Segmentor, batch: Batch) -> list[Result]:
        batches.append(batch.images.shape)
        return predict(model, batch)

    monkeypatch.setattr(Segmentor, "predict", watched)
    assert run(predictor, batch_size=3).metrics == expected
    assert batches == [(1, 3, 64, 96), (2, 3, 80, 64)]
    (tmp_path / "labels" / "b.png").unlink()
    with pytest.raises(DataError, match=r"has photographs without a label map: b\.png"):
        run(predictor)


@pytest.mark.parametrize("values", [{"input.window": [32, 32]}, {"model.head_channels": 4}])
def test_an_evaluation_cannot_change_the_network(finished: Path, values: dict[str, Any]) -> None:
    predictor = load(finished / "last.pt", device="cpu")
    with pytest.raises(UsageError, match="change the network, which is built already"):
        splitnest.evaluate(predictor, values)


def test_maps_of_ones_own_are_checked(finished: Path) -> None:
    predictor, image = load(finished / "last.pt", device="cpu"), np.zeros((40, 60, 3), np.uint8)
    labels = np.zeros((40, 60), np.uint8)
    labels[:2, :3] = 200
    with pytest.raises(DataError, match=r"semantic\[0\] has the value 200 in 6 pixels, but there are \d+ classes"):
        predictor.batch([image], semantic=[labels])
    with pytest.raises(DataError, match=r"semantic\[0\] is of size \(30, 60\), but its image of \(40, 60\)"):
        predictor.batch([image], semantic=[labels[:30]])


def test_augmented_evaluation_takes_any_callable(finished: Path) -> None:
    recipe = semantic(overrides.load_yaml(finished / "recipe.yaml"))
    categories = build_categories(recipe)
    dataset = open_validation(recipe, categories)
    sizes = []

    def empty(image: np.ndarray) -> SemanticSegmentation:
        sizes.append(image.shape)
        return SemanticSegmentation(
            np.zeros(image.shape[:2], np.uint8), image_size=image.shape[:2], categories=categories
        )

    predict_all(build_model(recipe).eval(), recipe, dataset, batch_size=2, tta=empty)
    assert sizes == [(64, 96, 3)] * 3


def test_pictures(finished: Path, tmp_path: Path) -> None:
    predictor = splitnest.load(finished / "best.pt", device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    assert write_predictions(predictor, [str(tmp_path / "a.png")], tmp_path / "out", tmp_path / "r.json", 0.5) == []
    (row,) = json.loads((tmp_path / "r.json").read_text())["images"]
    assert [Path(row[key]).name for key in ("picture", "map")] == ["a.jpg", "a_map.png"]
    (found,) = predictor.predict(image)
    assert isinstance(found, SemanticSegmentation)
    colors = np.array([category.color for category in found.categories], np.uint8)
    with Image.open(row["map"]) as colored:
        np.testing.assert_array_equal(np.array(colored), colors[found.labels])
    assert {segment["label"] for segment in row["result"]["segments"]} == set(np.unique(found.labels).tolist())


def test_the_dry_run(recipe_file: Path) -> None:
    text = plan(recipe_file)
    for part in (
        "training: scenes: 8 of 8 photographs\n",
        "validation: scenes: 3 photographs",
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
def test_one_image_has_no_variance(recipe_file: Path, values: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageError, match=rf"one image to each forward pass.*, or {key}=gn"):
        plan(recipe_file, {"train.batch_size": 1, **values})


def test_one_image_is_enough_without_batch_normalisation_of_single_cells(recipe_file: Path, tmp_path: Path) -> None:
    values = {"train.batch_size": 1, "train.length": 1, "model.backbone.norm": "gn", "model.head": "fcn"}
    assert train(recipe_file, values, out=tmp_path / "run", device="cpu").last.is_file()


def test_nothing_to_train_on(recipe_file: Path) -> None:
    with pytest.raises(UsageError, match="says nothing about training"):
        open_training(semantic(overrides.apply(overrides.load_yaml(recipe_file), {"train": None})))


def test_a_test_set_is_no_validation_data(recipe_file: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    Image.new("L", (64, 64)).save(tmp_path / "b.png")
    data = {"format": "folders", "root": str(tmp_path), "classes": ["cat"], "scenes": None, "val_images": "."}
    data |= {"train_images": ".", "train_annotations": ".", "val_annotations": None}
    with pytest.raises(DataError, match="has no annotations"):
        plan(recipe_file, {"data": data, "train.batch_size": 2})
    found = run(load(recipe_file, weights=None, device="cpu", overrides={"data": data}))
    assert found.metrics == {}
    found.evaluator.write(tmp_path / "maps")
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"a.png", "b.png"}


def test_cost_is_counted_by_hand() -> None:
    recipe = semantic(
        overrides.apply(recipes.get("fcn_resnest101_d8_ade20k.mmseg"), {"input.short_side": 64, "input.long_side": 96})
    )
    classifier = overrides.apply(
        recipes.get("resnest101_imagenet.official"),
        {f"model.backbone.{key}": value for key, value in recipe.model.backbone.model_dump().items()},
    )
    cells = (64 // 8) * (96 // 8)
    head = cells * (9 * 2048 * 512 + 9 * 512 * 512 + 9 * (2048 + 512) * 512 + 512 * 150)
    found, whole = complexity(recipe), complexity(classifier)
    assert found.size_hw == (64, 96)
    backbone = (whole.multiply_adds - 2048 * 1000) * (64 * 96) / (whole.size_hw[0] * whole.size_hw[1])
    assert found.multiply_adds - head == pytest.approx(backbone, rel=2e-3)  # split attention does not grow with images


@pytest.mark.parametrize("name", ["fcn_resnest101_d8_cityscapes.mmseg", "deeplabv3plus_resnest101_d8_ade20k.mmseg"])
def test_the_estimate_of_memory_is_near_what_mmsegmentation_measured(name: str) -> None:
    recipe = semantic(recipes.get(name))
    assert recipe.train is not None
    facts = recipe.train.model_copy(update={"accumulate": 4})  # of four devices
    gigabytes = sum(estimate(recipe, facts)) / 2**30
    assert 0.8 < gigabytes / recipe.published["train_memory_gb"] < 1.1
    halved = facts.model_copy(update={"precision": "bf16"})
    assert estimate(recipe, halved).activations < 0.7 * estimate(recipe, facts).activations
