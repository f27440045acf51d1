"""Training of networks from Python: any module with ``loss`` and ``predict``, and networks of given parts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

import splitnest
from helpers.own_networks import SEMANTIC, PixelClassifier, Pyramid, focal_loss
from helpers.tiny_detector import CONTENT as DETECTION
from helpers.tiny_training import assert_equal_tensors, interrupted, state_dict_of
from splitnest.errors import UsageError, WeightsError
from splitnest.models.build import build_categories
from splitnest.structures import Result
from splitnest.structures.batch import Batch
from splitnest.zoo import load_recipe


def recipe_file(folder: Path, content: dict[str, Any], **train: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**content, "train": {**content["train"], **train}}))
    return path


def pixel_classifier(recipe: Path) -> PixelClassifier:
    torch.manual_seed(0)
    return PixelClassifier(build_categories(load_recipe(recipe)))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recipe_file(tmp_path_factory.mktemp("recipe"), SEMANTIC)


@pytest.fixture(scope="module")
def run(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> splitnest.Run:
    """Run of an uninterrupted training of 4 steps of a module from Python."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return splitnest.train(recipe, out=out, device="cpu", model=pixel_classifier(recipe))


def test_any_module_is_trained_and_evaluated(run: splitnest.Run) -> None:
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(row["loss_pixel"] > 0 for row in rows)
    assert ["miou" in row for row in rows] == [False, True, False, True]
    assert "those of the given model" in (run.folder / "init_from.txt").read_text()
    assert (run.folder / "predictions.jpg").is_file()


def test_resumed_run_equals_an_uninterrupted_one(run: splitnest.Run, recipe: Path, tmp_path: Path) -> None:
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        splitnest.train(recipe, out=tmp_path / "run", device="cpu", model=pixel_classifier(recipe))
    model = pixel_classifier(recipe)
    nn.init.zeros_(model.conv.weight)
    resumed = splitnest.train(tmp_path / "run", resume=True, device="cpu", model=model)
    assert_equal_tensors(state_dict_of(run.last), state_dict_of(resumed.last))
    assert_equal_tensors(model.state_dict(), state_dict_of(resumed.last))
    with pytest.raises(WeightsError, match=r"Resume with the recipe of the run, and with its model if that was given"):
        splitnest.train(tmp_path / "run", resume=True, device="cpu")


def test_checkpoints_are_loaded_into_the_same_class(run: splitnest.Run, recipe: Path, tmp_path: Path) -> None:
    predictor = splitnest.load(run.last, device="cpu", model=pixel_classifier(recipe))
    assert_equal_tensors(predictor.module.state_dict(), state_dict_of(run.last))
    metrics = splitnest.evaluate(predictor)
    assert metrics["miou"] == pytest.approx(run.metrics["miou"])
    image = np.zeros((40, 50, 3), np.uint8)
    (result,) = predictor.predict(image)
    assert result.image_size == (40, 50)
    fresh = pixel_classifier(recipe)
    kept = splitnest.load(recipe, device="cpu", model=fresh)  # a recipe has no weights: the model keeps its own
    assert kept.module is fresh
    again = splitnest.load(recipe, run.last, device="cpu", model=pixel_classifier(recipe))
    assert_equal_tensors(again.module.state_dict(), state_dict_of(run.last))
    with pytest.raises(WeightsError, match=r"also one that was given to the training from Python \(model=...\)"):
        splitnest.load(run.last, device="cpu")
    with pytest.raises(WeightsError, match=r"conv\.weight"):
        splitnest.load(run.last, device="cpu", model=Other())
    for refused in (
        lambda: splitnest.export(predictor, tmp_path / "own.onnx"),
        lambda: splitnest.evaluate(predictor, tta=True),
        lambda: splitnest.load(recipe, device="cpu", model=fresh, compile=True),
    ):
        with pytest.raises(UsageError, match="PixelClassifier"):
            refused()


class Other(nn.Module):
    """Module with other weights than a checkpoint, which nothing is asked of but its methods."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.conv(batch.images).mean()}

    def predict(self, batch: Batch) -> list[Result]:
        return []


def test_weights_to_start_from(run: splitnest.Run, recipe: Path, tmp_path: Path) -> None:
    start = {"train.init_from": str(run.last), "train.iterations": 1}
    started = splitnest.train(recipe, start, out=tmp_path / "run", device="cpu", model=pixel_classifier(recipe))
    assert "whole model" in (started.folder / "init_from.txt").read_text()
    with pytest.raises(WeightsError, match=r"Or keep the model's own weights \(train.init_from=null\)"):
        splitnest.train(recipe, start, out=tmp_path / "other", device="cpu", model=Other())


class NoLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)


class NoPredict(NoLoss):
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.conv(batch.images).mean()}


class NoWeights(nn.Module):
    def loss(self, batch: Batch) -> None: ...

    def predict(self, batch: Batch) -> None: ...


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet50", "model is a str. Give a torch.nn.Module with loss"),
        (NoLoss(), r"The model NoLoss has no method loss\(batch\). Write it"),
        (NoPredict(), r"The model NoPredict has no method predict\(batch\), which an evaluation needs"),
        (NoWeights(), "The model NoWeights has no parameters to train"),
        (Other(), r"predict of the model Other returned a list of 0 \(empty\) for 1 images"),
    ],
)
def test_modules_without_the_interface_are_refused(model: Any, message: str, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        splitnest.train(recipe, out=tmp_path / "run", device="cpu", model=model)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (None, "returned None. Return a dictionary of scalar tensors"),
        ({}, "returned {}. Return a dictionary"),
        (torch.zeros(()), r"returned a tensor \[\]. Return a dictionary"),
        ({"loss": torch.zeros(2)}, r"returned a tensor \[2\] as 'loss'. Return a scalar"),
        ({"loss": 0.5}, "returned a float as 'loss'. Return a scalar"),
        ({"loss": torch.zeros(())}, "does not depend on its weights"),
    ],
)
def test_losses_of_another_form_are_refused(
    losses: Any, message: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Other, "loss", lambda self, batch: losses)
    with pytest.raises(UsageError, match=f"loss of the model Other {message}"):
        splitnest.train(recipe, out=tmp_path / "run", device="cpu", model=Other())


def test_a_network_of_given_parts_is_trained_resumed_and_loaded(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, SEMANTIC, iterations=2)
    model = splitnest.build(path, backbone=Pyramid(), class_loss=focal_loss)
    run = splitnest.train(path, out=tmp_path / "run", device="cpu", model=model)
    loaded = splitnest.load(run.last, device="cpu", model=splitnest.build(path, backbone=Pyramid()))
    assert splitnest.evaluate(loaded)["miou"] == pytest.approx(run.metrics["miou"])


@pytest.mark.parametrize(("content", "step"), [(SEMANTIC, 1), (DETECTION, 4)], ids=["DeepLabV3+", "Mask R-CNN"])
def test_a_model_of_timm_is_trained_and_loaded_by_recipe(content: dict[str, Any], step: int, tmp_path: Path) -> None:
    """A resumed run has the recipe, and so the backbone."""
    changes = {"model": {**content["model"], "backbone": {"timm": "test_convnext"}}}
    path = recipe_file(tmp_path, {**content, **changes}, batch_size=2, save_every=1)
    with interrupted(step), pytest.raises(KeyboardInterrupt):
        splitnest.train(path, out=tmp_path / "run", device="cpu")
    run = splitnest.train(tmp_path / "run", resume=True, device="cpu")
    predictor = splitnest.load(run.folder, device="cpu")
    assert_equal_tensors(predictor.module.state_dict(), state_dict_of(run.best or run.last))


@pytest.mark.parametrize(
    "content",
    [pytest.param(SEMANTIC, id="DeepLabV3+"), pytest.param(DETECTION, id="Mask R-CNN")],
)
@pytest.mark.parity
def test_convnext_tiny_is_exported(content: dict[str, Any], tmp_path: Path) -> None:
    """With fewer and narrower blocks than the published one."""
    backbone = splitnest.models.timm_backbone("convnext_tiny", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))
    path = recipe_file(tmp_path, content)
    predictor = splitnest.load(path, device="cpu", model=splitnest.build(path, backbone=backbone))
    exported = splitnest.export(predictor, tmp_path / "network.onnx")  # compared with the network before it is written
    assert splitnest.load(exported).predict(np.zeros((64, 96, 3), np.uint8))


def test_keys_that_need_the_network_of_the_recipe_are_refused(recipe: Path, tmp_path: Path) -> None:
    for changes, message in (
        ({"train.batch_size": "auto", "train.lr_batch_size": 8}, "batch_size is auto, .* not of a given model"),
        ({"train.checkpoint_stages": [4]}, r"train\.checkpoint_stages has no effect on a PixelClassifier\. Remove it"),
    ):
        with pytest.raises(UsageError, match=message):
            splitnest.train(recipe, changes, out=tmp_path / "run", device="cpu", model=pixel_classifier(recipe))
    assert not (tmp_path / "run").exists()


class Halves:
    """Four label maps of two classes, from Python."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((64, 96, 3), 40 * index, np.uint8), np.repeat([[0, 1]], 48, 1).repeat(64, 0).astype(np.uint8)


def test_data_and_network_from_python_with_validation_losses(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network's own losses are computed there too, and the advice names everything that resumes the run."""
    rows: list[dict[str, float]] = []
    options: dict[str, Any] = {
        "overrides": {"train.val_loss": True, "train.iterations": 2},
        "train_data": Halves(),
        "val_data": Halves(),
        "callbacks": [rows.append],
        "device": "cpu",
    }
    run = splitnest.train(recipe, out=tmp_path / "run", model=pixel_classifier(recipe), **options)
    assert rows[-1]["val_loss"] == rows[-1]["val_loss_pixel"] > 0
    call = f"splitnest.train({str(run.folder)!r}, resume=True, model=..., train_data=..., val_data=...)"
    assert call in capsys.readouterr().out
