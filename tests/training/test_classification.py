"""Training of an image classifier: loss, DropBlock, initialization, and a whole training by its recipe."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import splitnest
from helpers.image_tree import COLORS, SMALL, recipe_of, write, write_classes
from helpers.tiny_training import assert_equal_tensors, interrupted, state_dict_of
from splitnest import zoo
from splitnest.data.classification.augment import mixup
from splitnest.errors import DataError, UsageError
from splitnest.models.backbones.residual_blocks import Bottleneck
from splitnest.models.build import build_backbone, build_model
from splitnest.models.layers.drop_block import DropBlock, set_progress
from splitnest.recipe import ClassificationRecipe, overrides
from splitnest.recipe.serialization import dump_yaml
from splitnest.structures.class_tables import class_table
from splitnest.training.optim import build_optimizer
from splitnest.training.train import plan


def recipe_file(folder: Path) -> Path:
    path = folder / "small.yaml"
    path.write_text(dump_yaml(recipe_of(None)))
    return path


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_follows_the_published_formula(smoothing: float) -> None:
    """``LabelSmoothing`` and ``NLLMultiLabelSmooth`` of the official repository, in float64."""
    classes = {"data.classes": ["a", "b", "c"], "train.label_smoothing": smoothing}
    predictor = splitnest.load("resnest50_imagenet.official", weights=None, device="cpu", overrides=SMALL | classes)
    module = predictor.module.double()
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    batch = predictor.batch([image] * 3, labels=[0, 2, 1])
    log = torch.log_softmax(module(batch.images), dim=1)
    plain = -(1 - smoothing) * log[[0, 1, 2], [0, 2, 1]] - smoothing * log.mean(1)
    assert module.loss(batch)["loss_class"].item() == pytest.approx(plain.mean().item(), abs=1e-12)
    mixed, probabilities = mixup(batch.images, torch.tensor([0, 2, 1]), 3, 0.2)
    probabilities = probabilities.double()
    log = torch.log_softmax(module(mixed), dim=1)
    soft = -(1 - smoothing) * (log * probabilities).sum(1) - smoothing * log.mean(1)
    loss = module.loss(replace(batch, images=mixed, labels=probabilities))["loss_class"]
    assert loss.item() == pytest.approx(soft.mean().item(), abs=1e-12)


def test_published_networks_start_as_identities_and_drop_blocks_of_c4_and_c5() -> None:
    small = {"model.backbone": {"depth": 14, "planes": 8, "stem_width": 8}, "train.dropout": 0.2}
    module = build_model(overrides.apply(zoo.get("resnest50_imagenet.official"), small))
    blocks = [layer for layer in module.modules() if isinstance(layer, Bottleneck)]
    assert [isinstance(block.drop_block, DropBlock) for block in blocks] == [False, False, True, True]
    assert all(block.conv3.norm.weight.eq(0).all() for block in blocks)
    assert module.dropout.p == 0.2
    block = blocks[1].eval()
    features = torch.randn(1, block.conv1.conv.in_channels, 8, 8)
    assert torch.equal(block(features), block.shortcut(features).relu())
    plain = build_model(overrides.apply(zoo.get("resnest50_imagenet.official"), {**small, "train": None}))
    assert not any(isinstance(layer, DropBlock) for layer in plain.modules())
    assert plain.state_dict().keys() == module.state_dict().keys()


def test_drop_probability_rises_during_the_training() -> None:
    layer, features = DropBlock(0.1), torch.ones(64, 16, 14, 14)
    assert torch.equal(layer(features), features)
    fractions = []
    for progress in (0.5, 1.0):
        set_progress(nn.Sequential(nn.Sequential(layer)), progress)
        dropped = layer(features)
        fractions.append(dropped.eq(0).float().mean().item())
        assert dropped.mean().item() == pytest.approx(1, abs=1e-3)
    assert fractions == pytest.approx([0.05, 0.1], rel=0.1)
    assert torch.equal(layer.eval()(features), features)
    layer.train()
    for side in (1, 2, 3):  # features smaller than a block
        assert layer(torch.ones(2, 4, side, side)).shape == (2, 4, side, side)


def test_norms_and_biases_have_no_weight_decay() -> None:
    values = {"model.backbone": {"depth": 14, "planes": 8, "stem_width": 8}}
    recipe = overrides.apply(zoo.get("resnest50_imagenet.official"), values)
    assert isinstance(recipe, ClassificationRecipe)
    assert recipe.train is not None
    model = build_model(recipe)
    optimizer = build_optimizer(model, recipe.train)
    assert optimizer.defaults["nesterov"]
    decayed, exempt = optimizer.param_groups
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (1e-4, 0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in exempt["params"])
    assert "fc.bias" in {names[id(parameter)] for parameter in exempt["params"]}
    assert len(decayed["params"]) + len(exempt["params"]) == len(names)


def test_stem_stride_scales_the_strides_of_all_stages() -> None:
    for stride, strides in ((1, (1, 2, 4, 8)), (2, (2, 4, 8, 16)), (4, (4, 8, 16, 32))):
        recipe = recipe_of(None, **{"model.backbone.stem_stride": stride})
        backbone = build_backbone(recipe.model.backbone)
        assert tuple(backbone.strides.values()) == strides
        features = backbone(torch.randn(2, 3, 32, 32))
        assert [stage.shape[-1] for stage in features.values()] == [32 // s for s in strides]
        assert recipe.model.backbone.stride == strides[-1]


def test_training_learns_colors(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 12, "val": 4})
    run = splitnest.train(recipe_file(tmp_path), {"data.root": str(tmp_path)}, out=tmp_path / "run", device="cpu")
    assert run.metrics["top1"] == 1
    files = {path.name for path in run.folder.iterdir()}
    assert {"confusion_matrix.png", "predictions.jpg", "curves.png", "best.pt", "last.pt"} <= files
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss_class"] < rows[0]["loss_class"]
    predictor = splitnest.load(run.best, device="cpu")
    assert predictor.recipe.data.classes == tuple(COLORS)
    (prediction,) = predictor.predict(tmp_path / "val" / "green" / "val0.png")
    assert prediction.top[0].name == "green"


def test_resumed_training_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 4})
    values = {"data.root": str(tmp_path), "data.val_images": None, "train.epochs": 4, "train.save_every": 2}
    values |= {"train.drop_block": 0.2, "train.dropout": 0.1}
    whole = splitnest.train(recipe_file(tmp_path), values, out=tmp_path / "whole", device="cpu")
    with interrupted(5), pytest.raises(KeyboardInterrupt):
        splitnest.train(recipe_file(tmp_path), values, out=tmp_path / "resumed", device="cpu")
    resumed = splitnest.train(tmp_path / "resumed", resume=True, device="cpu")
    assert_equal_tensors(state_dict_of(whole.last), state_dict_of(resumed.last))


def test_fine_tuning_keeps_all_layers_but_the_classifier(tmp_path: Path) -> None:
    """Other classes, also as many with other names, have random weights; the same classes are loaded."""
    write_classes(tmp_path, {"train": 2})
    values = {"data.root": str(tmp_path), "data.val_images": None, "train.epochs": 1}
    first = splitnest.train(recipe_file(tmp_path), values, out=tmp_path / "first", device="cpu")
    for old, new, is_random in (("red", "rot", True), ("rot", "red", False)):
        (tmp_path / "train" / old).rename(tmp_path / "train" / new)
        splitnest.train(first.last, {**values, "data.classes": "folders"}, out=tmp_path / new, device="cpu")
        report = (tmp_path / new / "init_from.txt").read_text()
        assert "initial weights: whole model" in report
        assert ("random weights: 3 other classes in the file" in report) == is_random
    write(tmp_path / "train" / "white" / "1.png", (250, 250, 250))
    splitnest.train(first.last, {**values, "data.classes": "folders"}, out=tmp_path / "more", device="cpu")
    report = (tmp_path / "more" / "init_from.txt").read_text()
    assert "random weights: 3 classes in the file, 4 in the model" in report
    assert splitnest.load(tmp_path / "more" / "last.pt").recipe.data.classes == ("blue", "green", "red", "white")


def test_plan_of_a_published_training(tmp_path: Path) -> None:
    for label in range(2):
        for number in range(8):
            write(tmp_path / "train" / str(label) / f"{number}.png")
    values = {"data.root": str(tmp_path), "data.val_images": None, "train.batch_size": 4, "train.epochs": 120}
    text = plan("resnest50_imagenet.official", values)
    assert "16 of 16 images" in text
    assert "480 steps of 4 images, 120 epochs of 4 steps" in text
    assert "learning rate 0 at step 0, 3.2 at step 20" in text


def test_images_without_classes_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "train" / "1.png")
    values = {"data.root": str(tmp_path), "data.val_images": None, "data.classes": ["a"]}
    with pytest.raises(DataError, match="has images without classes, so there is nothing to train on"):
        splitnest.train(recipe_file(tmp_path), values, device="cpu")


def test_contradicting_values_are_errors() -> None:
    recipe = recipe_of(None)
    for values, message in (
        ({"train.crop_area": [0.9, 0.1]}, "crop_area .*: give the minimum first"),
        ({"train.warmup_iterations": 3, "train.warmup_epochs": 1}, "set one of warmup_iterations and warmup_epochs"),
        ({"train.optimizer": "adam", "train.optimizer.nesterov": True}, "train.optimizer.nesterov has no effect"),
        ({"data.stuff": ["sky"]}, r"There is no key 'data\.stuff'"),
    ):
        with pytest.raises(UsageError, match=message):
            overrides.apply(recipe, values)
    detector = zoo.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet")
    with pytest.raises(UsageError, match=r"data\.classes should be .*, not 'folders'"):
        overrides.apply(detector, {"data.classes": "folders"})


def test_models_of_imagenet_are_trained_as_published() -> None:
    recipes = {name: zoo.get(name) for name in zoo.list_models("classification")}
    assert len(recipes) == 19
    for name, recipe in recipes.items():
        assert isinstance(recipe, ClassificationRecipe)
        train_cfg, depth = recipe.train, recipe.model.backbone.depth
        assert train_cfg is not None
        assert recipe.data.classes == "imagenet"
        assert class_table("imagenet").names[0] == "tench"
        assert train_cfg.lr == pytest.approx(0.1 * train_cfg.batch_size / 256)
        assert (train_cfg.mixup, train_cfg.label_smoothing, train_cfg.drop_block) == (0.2, 0.1, 0.1)
        assert train_cfg.epochs == 270
        assert train_cfg.dropout == (0.2 if depth >= 200 else 0)
        assert (train_cfg.crop_size or recipe.input.size) == {200: 256, 269: 320, 101: 256}.get(depth, 224)
        assert train_cfg.batch_size == {200: 2048, 269: 2048, 101: 4096}.get(depth, 8192), name
