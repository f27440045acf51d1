"""Photographs as a classifier is trained on them: augmentation, mixing, loss, DropBlock, a whole training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_tree import COLORS, SMALL, recipe_of, write, write_classes
from PIL import Image
from torch import nn

import splitnest
from splitnest import recipes
from splitnest.backbones.resnet import Bottleneck
from splitnest.build import build_backbone, build_categories, build_model
from splitnest.data import categories
from splitnest.data.classification_augment import Lighting, augmentation, mix, seeded
from splitnest.data.classification_training import ClassificationTrainingSet
from splitnest.data.image_labels import read_class_folders
from splitnest.data.transforms import prepare
from splitnest.errors import DataError, UsageError
from splitnest.layers.drop_block import DropBlock, set_progress
from splitnest.recipe import ClassificationRecipe, ClassificationTraining, overrides
from splitnest.resolve import completed
from splitnest.trainer import plan
from splitnest.training.data import open_training
from splitnest.training.optim import make_optimizer
from splitnest.training.run import RunFolder

PLAIN: dict[str, Any] = {"area": (1.0, 1.0), "flip": 0, "color_jitter": 0, "lighting": 0}


def facts(**changes: Any) -> ClassificationTraining:
    return ClassificationTraining(**{"length": 1, "learning_rate": 0.1, **PLAIN, **changes})


def picture(height: int = 48, width: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("pixel_range", [1, 255])
def test_without_random_changes_it_is_the_input_of_evaluation(channels: str, pixel_range: int) -> None:
    statistics = {"mean": [0.4 * pixel_range, 0.2, 0.1], "std": [0.2 * pixel_range, 1, 2]}
    changes = {"channels": channels, "pixel_range": pixel_range, **statistics}
    input_facts = recipe_of(None, **{f"input.{key}": value for key, value in changes.items()}).input
    image = augmentation(input_facts, facts())(Image.fromarray(picture()))
    assert torch.allclose(image, prepare(picture(), input_facts), atol=1e-6)


def test_each_change_is_made() -> None:
    input_facts = recipe_of(None).input
    plain = augmentation(input_facts, facts())(Image.fromarray(picture()))
    for change in ({"area": (0.1, 0.5)}, {"flip": 1}, {"policy": "auto_augment"}, {"policy": "rand_augment"},
                   {"color_jitter": 0.4}, {"lighting": 0.1}):  # fmt: skip
        augment = augmentation(input_facts, facts(**change))
        with seeded(1):
            changed = [augment(Image.fromarray(picture())) for _ in range(4)]
        assert any(not torch.allclose(image, plain) for image in changed), change
    flipped = augmentation(input_facts, facts(flip=1))(Image.fromarray(picture()))
    assert torch.equal(flipped, plain.flip(2))
    assert augmentation(input_facts, facts(size=20))(Image.fromarray(picture())).shape == (3, 20, 20)


def test_lighting_moves_along_the_principal_colors() -> None:
    image = torch.rand(3, 4, 5)
    with seeded(2):
        shifts = [(Lighting(0.1)(image) - image) for _ in range(300)]
    flat = torch.stack([shift.flatten(1).mean(1) for shift in shifts])
    assert max(shift.flatten(1).std(1).max() for shift in shifts) < 1e-6
    vectors = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    deviations = (flat @ vectors).std(0)
    expected = 0.1 * torch.tensor([0.2175, 0.0188, 0.0045])
    assert torch.allclose(deviations, expected, rtol=0.15, atol=1e-5)


def test_a_sample_depends_on_seed_epoch_and_photograph_alone(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 2})
    recipe = completed(recipe_of(tmp_path, **{"train.policy": "rand_augment"}))
    assert isinstance(recipe, ClassificationRecipe)
    dataset = read_class_folders(tmp_path / "train", build_categories(recipe))
    training_set = ClassificationTrainingSet(dataset, recipe)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = training_set[0, 4]
    assert torch.equal(torch.rand(4), expected)  # what belongs to the model is left alone
    torch.manual_seed(99)
    assert torch.equal(training_set[0, 4].image, first.image)
    assert not torch.equal(training_set[1, 4].image, first.image)
    other = ClassificationTrainingSet(dataset, overrides.apply(recipe, {"train.seed": 1}))  # type: ignore[arg-type]
    assert not torch.equal(other[0, 4].image, first.image)
    assert (first.label, first.name, first.original_size) == (2, "red/train0.png", (36, 40))
    assert training_set.sizes_hw.tolist() == [[32, 32]] * 6


def test_mixing_is_the_formula() -> None:
    images, labels = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 1, 2])
    with seeded(5):
        mixed, shares = mix(images, labels, 3, 0.2)
    share = shares[0, 0].item()
    assert 0 < share < 1
    one_hot = nn.functional.one_hot(labels, 3).float()
    assert torch.allclose(shares, share * one_hot + (1 - share) * one_hot.roll(1, 0))
    assert torch.allclose(mixed, share * images + (1 - share) * images.roll(1, 0), atol=1e-6)


def test_batches_are_mixed_by_seed_and_step(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 4})
    recipe = completed(recipe_of(tmp_path))
    begun, resumed = open_training(recipe).steps(0), open_training(recipe).steps(2)
    batches = [next(begun)[0] for _ in range(3)]
    (again,) = next(resumed)
    assert torch.equal(batches[2].images, again.images)
    assert batches[2].labels is not None
    assert again.labels is not None
    assert torch.equal(batches[2].labels, again.labels)
    assert again.labels.shape == (6, 3)
    assert torch.allclose(again.labels.sum(1), torch.ones(6))
    (plain,) = next(open_training(overrides.apply(recipe, {"train.mixup": 0})).steps(2))
    assert plain.labels is not None
    assert plain.labels.dtype == torch.int64


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_published_formula(smoothing: float) -> None:
    """``LabelSmoothing`` and ``NLLMultiLabelSmooth`` of the official repository, in float64."""
    classes = {"data.classes": ["a", "b", "c"], "train.label_smoothing": smoothing}
    predictor = splitnest.load("resnest50_imagenet.official", weights=None, device="cpu", overrides=SMALL | classes)
    module = predictor.module.double()
    batch = predictor.batch([picture(32, 32)] * 3, labels=[0, 2, 1])
    log = torch.log_softmax(module(batch.images), dim=1)
    plain = -(1 - smoothing) * log[[0, 1, 2], [0, 2, 1]] - smoothing * log.mean(1)
    assert module.loss(batch)["loss_class"].item() == pytest.approx(plain.mean().item(), abs=1e-12)
    mixed, shares = mix(batch.images, torch.tensor([0, 2, 1]), 3, 0.2)
    shares = shares.double()
    log = torch.log_softmax(module(mixed), dim=1)
    soft = -(1 - smoothing) * (log * shares).sum(1) - smoothing * log.mean(1)
    loss = module.loss(replace(batch, images=mixed, labels=shares))["loss_class"]
    assert loss.item() == pytest.approx(soft.mean().item(), abs=1e-12)


def test_published_networks_start_as_shortcuts_and_drop_blocks_of_c4_and_c5() -> None:
    small = {"model.backbone": {"depth": 14, "planes": 8, "stem_width": 8}, "train.dropout": 0.2}
    module = build_model(overrides.apply(recipes.get("resnest50_imagenet.official"), small))
    blocks = [layer for layer in module.modules() if isinstance(layer, Bottleneck)]
    assert [isinstance(block.drop_block, DropBlock) for block in blocks] == [False, False, True, True]
    assert all(block.conv3.norm.weight.eq(0).all() for block in blocks)
    assert module.dropout.p == 0.2
    block = blocks[1].eval()
    maps = torch.randn(1, block.conv1.conv.in_channels, 8, 8)
    assert torch.equal(block(maps), block.shortcut(maps).relu())
    plain = build_model(overrides.apply(recipes.get("resnest50_imagenet.official"), {**small, "train": None}))
    assert not any(isinstance(layer, DropBlock) for layer in plain.modules())
    assert plain.state_dict().keys() == module.state_dict().keys()


def test_blocks_are_dropped_the_more_the_longer_it_goes_on() -> None:
    layer, maps = DropBlock(0.1), torch.ones(64, 16, 14, 14)
    assert torch.equal(layer(maps), maps)
    shares = []
    for progress in (0.5, 1.0):
        set_progress(nn.Sequential(nn.Sequential(layer)), progress)
        dropped = layer(maps)
        shares.append(dropped.eq(0).float().mean().item())
        assert dropped.mean().item() == pytest.approx(1, abs=1e-3)
    assert shares == pytest.approx([0.05, 0.1], rel=0.1)
    assert torch.equal(layer.eval()(maps), maps)
    layer.train()
    for side in (1, 2, 3):  # maps that are smaller than a block
        assert layer(torch.ones(2, 4, side, side)).shape == (2, 4, side, side)


def test_norms_and_biases_do_not_decay() -> None:
    recipe = overrides.apply(recipes.get("resnest50_imagenet.official"), {"model.backbone.depth": 14})
    assert isinstance(recipe, ClassificationRecipe)
    assert recipe.train is not None
    model = build_model(recipe)
    optimizer = make_optimizer(model, recipe.train)
    assert optimizer.defaults["nesterov"]
    decaying, free = optimizer.param_groups
    assert (decaying["weight_decay"], free["weight_decay"]) == (1e-4, 0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(parameter.ndim > 1 for parameter in decaying["params"])
    assert all(parameter.ndim == 1 for parameter in free["params"])
    assert "fc.bias" in {names[id(parameter)] for parameter in free["params"]}
    assert len(decaying["params"]) + len(free["params"]) == len(names)


def test_a_stem_of_smaller_stride() -> None:
    for stride, strides in ((1, (1, 2, 4, 8)), (2, (2, 4, 8, 16)), (4, (4, 8, 16, 32))):
        recipe = recipe_of(None, **{"model.backbone.stem_stride": stride})
        backbone = build_backbone(recipe.model.backbone)
        assert tuple(backbone.strides.values()) == strides
        maps = backbone(torch.randn(2, 3, 32, 32))
        assert [m.shape[-1] for m in maps.values()] == [32 // s for s in strides]
        assert recipe.model.backbone.stride == strides[-1]


def test_a_training_learns_colors(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 12, "val": 4})
    run = splitnest.train(recipe_path(tmp_path), {"data.root": str(tmp_path)}, out=tmp_path / "run", device="cpu")
    assert run.metrics["top1"] == 1
    files = {path.name for path in run.folder.iterdir()}
    assert {"confusion_matrix.png", "curves.png", "best.pt", "last.pt"} <= files
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss_class"] < rows[0]["loss_class"]
    predictor = splitnest.load(run.best, device="cpu")
    assert predictor.recipe.data.classes == tuple(COLORS)
    (found,) = predictor.predict(tmp_path / "val" / "green" / "val0.png")
    assert found.top[0].name == "green"


def test_resuming_is_not_having_stopped(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 4})
    values = {"data.root": str(tmp_path), "data.val_images": None, "train.length": 4, "train.save_every": 2}
    values |= {"train.drop_block": 0.2, "train.dropout": 0.1}
    whole = splitnest.train(recipe_path(tmp_path), values, out=tmp_path / "whole", device="cpu")
    stopped = tmp_path / "stopped"

    class Stop(Exception):
        pass

    save = RunFolder.save_last
    with pytest.MonkeyPatch.context() as patch:

        def save_and_stop(folder: RunFolder, state: Any) -> None:
            save(folder, state)
            raise Stop

        patch.setattr(RunFolder, "save_last", save_and_stop)
        with pytest.raises(Stop):
            splitnest.train(recipe_path(tmp_path), values, out=stopped, device="cpu")
    run = splitnest.train(stopped, resume=True, device="cpu")
    ends = [torch.load(of.last, weights_only=True)["state_dict"] for of in (whole, run)]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_fine_tuning_keeps_all_but_the_classes(tmp_path: Path) -> None:
    """Other classes, and as many with other names, start anew; the same ones are taken over."""
    write_classes(tmp_path, {"train": 2})
    values = {"data.root": str(tmp_path), "data.val_images": None, "train.length": 1}
    first = splitnest.train(recipe_path(tmp_path), values, out=tmp_path / "first", device="cpu")
    for old, new, renewed in (("red", "rot", True), ("rot", "red", False)):
        (tmp_path / "train" / old).rename(tmp_path / "train" / new)
        splitnest.train(first.last, {**values, "data.classes": "folders"}, out=tmp_path / new, device="cpu")
        text = (tmp_path / new / "start.txt").read_text()
        assert "start: the whole model" in text
        assert ("re-initialised: 3 other classes in the file" in text) == renewed
    write(tmp_path / "train" / "white" / "1.png", (250, 250, 250))
    splitnest.train(first.last, {**values, "data.classes": "folders"}, out=tmp_path / "more", device="cpu")
    assert "re-initialised: 3 classes in the file, 4 in the model" in (tmp_path / "more" / "start.txt").read_text()
    assert splitnest.load(tmp_path / "more" / "last.pt").recipe.data.classes == ("blue", "green", "red", "white")


def test_a_plan_of_a_published_training(tmp_path: Path) -> None:
    for label in range(2):
        for number in range(8):
            write(tmp_path / "train" / str(label) / f"{number}.png")
    values = {"data.root": str(tmp_path), "data.val_images": None, "train.batch_size": 4, "train.length": 120}
    text = plan("resnest50_imagenet.official", values)
    assert "16 of 16 photographs" in text
    assert "480 steps of 4 images, 120 epochs of 4 steps" in text
    assert "learning rate 0 at step 0, 3.2 at step 20" in text


def test_nothing_to_train_on(tmp_path: Path) -> None:
    write(tmp_path / "train" / "1.png")
    values = {"data.root": str(tmp_path), "data.val_images": None, "data.classes": ["a"]}
    with pytest.raises(DataError, match="has photographs without classes, so there is nothing to train on"):
        splitnest.train(recipe_path(tmp_path), values, device="cpu")


def test_values_that_do_not_go_together() -> None:
    recipe = recipe_of(None)
    for values, message in (
        ({"train.area": [0.9, 0.1]}, "falls: give the smaller share first"),
        ({"train.warmup_steps": 3}, "warmup_steps and warmup_epochs say the same"),
        ({"train.optimizer": "adam", "train.nesterov": True}, "nesterov is a step of optimizer sgd"),
        ({"data.stuff": ["sky"]}, "task classification has no data.stuff"),
    ):
        with pytest.raises(UsageError, match=message):
            overrides.apply(recipe, values)
    detector = recipes.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet")
    with pytest.raises(UsageError, match=r"data\.classes folders is for classification"):
        overrides.apply(detector, {"data.classes": "folders"})


def recipe_path(folder: Path) -> Path:
    path = folder / "small.yaml"
    path.write_text(overrides.dump_yaml(recipe_of(None)))
    return path


def test_imagenet_rows_are_trained_as_published() -> None:
    rows = {name: recipes.get(name) for name in recipes.names("classification")}
    assert len(rows) == 19
    for name, recipe in rows.items():
        assert isinstance(recipe, ClassificationRecipe)
        train = recipe.train
        assert train is not None
        assert recipe.data.classes == "imagenet"
        assert categories.named("imagenet").names[0] == "tench"
        assert train.learning_rate == pytest.approx(0.1 * train.batch_size / 256)
        assert (train.mixup, train.label_smoothing, train.drop_block, train.length) == (0.2, 0.1, 0.1, 270)
        assert train.dropout == (0.2 if recipe.model.backbone.depth >= 200 else 0)
        assert (train.size or recipe.input.size) == {200: 256, 269: 320, 101: 256}.get(recipe.model.backbone.depth, 224)
        assert train.batch_size == {200: 2048, 269: 2048, 101: 4096}.get(recipe.model.backbone.depth, 8192), name
