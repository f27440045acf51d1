"""Losses on the validation dataset, for every task."""

import csv
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

import splitnest
from helpers.image_tree import recipe_of, write_classes
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.inference.resolve import resolve
from splitnest.models.build import build_model
from splitnest.recipe import overrides, required_training
from splitnest.recipe.serialization import dump_yaml
from splitnest.tasks import task_of
from splitnest.training.batches import TrainingBatches
from splitnest.training.validation_loss import ValidationLoss

SCENES = {"format": "scenes", "train_count": 5, "val_count": 5, "height": 64, "width": 96}
BACKBONE = {"depth": 14, "planes": 8, "stem_width": 8, "norm": "bn", "frozen_stages": 0}
NETWORKS: dict[str, dict[str, Any]] = {
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet": {
        "data": {**SCENES, "classes": list(THING_NAMES)},
        "model": {"backbone": BACKBONE, "fpn_channels": 8, "box_conv_channels": 8, "box_fc_channels": 8,
                  "mask_channels": 8, "fpn_norm": None, "box_norm": None, "mask_norm": None},
        "input": {"short_side": 64, "long_side": 96},
        "train": {"short_sides": [48, 64], "long_side": 100},
    },
    "pspnet_resnest101_d8_cityscapes.mmseg": {
        "data": {**SCENES, "classes": [*THING_NAMES, *STUFF_NAMES]},
        "model": {"backbone": BACKBONE, "head_channels": 8, "auxiliary_channels": 8, "norm": "bn"},
        "input": {"short_side": 64, "long_side": 96},
        "train": {"crop_size": [48, 48]},
    },
    "simplebaseline_resnest50_256x192_coco.mmpose": {
        "data": {**SCENES, "keypoints": "coco"},
        "model": {"backbone": BACKBONE, "deconv_channels": [8, 8, 8]},
        "input": {"height": 64, "width": 64},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_is_the_mean_of_all_batches_without_augmentation(name: str) -> None:
    recipe, _ = resolve(name, NETWORKS[name])
    recipe = overrides.apply(recipe, {"train": {"batch_size": 2, "workers": 0, "init_from": None, "val_loss": True}})
    torch.manual_seed(0)
    model, task = build_model(recipe).eval(), task_of(recipe)
    dataset = task.open_dataset(recipe, "val")
    state = {key: value.clone() for key, value in model.state_dict().items()}
    validation_loss = ValidationLoss(recipe, dataset)
    losses = validation_loss(model)
    assert losses == validation_loss(model)  # the same crops each time
    assert losses["val_loss"] == pytest.approx(sum(value for key, value in losses.items() if key != "val_loss"))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    plain = overrides.apply(recipe, {"train": task.without_augmentation(recipe)})
    batches = TrainingBatches(task.training_set(dataset, plain), plain)
    expected = [model.loss(parts[0]) for parts in islice(batches.steps(0), batches.steps_per_epoch)]
    for key in expected[0]:
        mean = sum(each[key].item() for each in expected) / len(expected)
        assert losses[f"val_{key}"] == pytest.approx(mean, rel=1e-5)


def test_losses_are_logged_and_select_the_best_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_classes(tmp_path, {"train": 4, "val": 3})
    (tmp_path / "small.yaml").write_text(dump_yaml(recipe_of(None)))
    values = {"data.root": str(tmp_path), "train": {"epochs": 3, "evaluate_every": 1, "val_loss": True, "workers": 0}}
    out = tmp_path / "run"
    run = splitnest.train(tmp_path / "small.yaml", {**values, "train.best_by": "val_loss"}, out=out, device="cpu")
    with (run.folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val_loss"]]
    assert len(rows) == 3
    assert all(row["val_loss"] == row["val_loss_class"] for row in rows)
    assert run.metrics["val_loss"] == pytest.approx(min(float(row["val_loss"]) for row in rows), rel=1e-5)
    assert f"val_loss {run.metrics['val_loss']:.4g}" in capfd.readouterr().err  # not in percent
    plain = splitnest.train(
        tmp_path / "small.yaml", {**values, "train.val_loss": False}, out=tmp_path / "plain", device="cpu"
    )
    with (plain.folder / "metrics.csv").open() as file:  # it has no influence on the training
        assert [row["loss"] for row in csv.DictReader(file)][-1] == rows[-1]["loss"]


def test_dataset_smaller_than_a_batch(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    write_classes(tmp_path, {"val": 1})
    recipe = overrides.apply(recipe, {"data.classes": ["blue", "green", "red"]})
    dataset = task_of(recipe).open_dataset(recipe, "val")
    assert len(dataset) < required_training(recipe).batch_size
    assert ValidationLoss(recipe, dataset)(build_model(recipe).eval())["val_loss"] > 0
