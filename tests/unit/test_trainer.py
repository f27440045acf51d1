"""From a recipe to a trained model, on a few small scenes: run folder, resume, what weights start from, dry run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tiny_training import interrupted, state_of
from torch import nn

import splitnest
from splitnest import recipes
from splitnest.build import build_model
from splitnest.data.scenes import Scenes
from splitnest.errors import DataError, UsageError, WeightsError
from splitnest.processes import world_size
from splitnest.recipe import DetectionRecipe, DetectionTraining, overrides
from splitnest.trainer import plan, train
from splitnest.training.distributed import synchronise_norms
from splitnest.training.memory import estimate
from splitnest.weights.save import save

BACKBONE = {"depth": 14, "planes": 8, "stem_width": 4, "base_width": 32, "norm": "bn", "frozen_stages": 0}
CLASSES = Scenes(1, (64, 64), 0).categories.names
CONTENT: dict[str, Any] = {
    "base": "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "name": "tiny",
    "data": {
        "format": "scenes",
        "classes": list(CLASSES),
        "scenes": {"train_count": 8, "val_count": 2, "height": 64, "width": 96},
    },
    "input": {"short_side": 64, "long_side": 96},
    "model": {
        "backbone": BACKBONE,
        "fpn_channels": 16,
        "box_norm": "gn",
        "mask_norm": "gn",
        "box_channels": 16,
        "box_features": 32,
        "mask_channels": 16,
        "roi_samples": 16,
    },
    "train": {
        "batch_size": 4,
        "length": 2,
        "learning_rate": 0.001,
        "milestones": [],
        "warmup_steps": 0,
        "evaluate_every": 0,
        "save_every": 0,
        "start": None,
        "short_sides": [64],
        "long_side": 96,
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
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(recipe_file, {"train.ema_decay": 0.9, "train.evaluate_every": 1}, out=folder, device="cpu")
    return folder


def recipe_of(path: Path) -> DetectionRecipe:
    recipe = overrides.load_yaml(path)
    assert isinstance(recipe, DetectionRecipe)
    return recipe


def test_the_folder_of_a_run(finished: Path, recipe_file: Path) -> None:
    assert {path.name for path in finished.iterdir() if not path.name.startswith("events.")} == {
        "recipe.yaml",
        "environment.txt",
        "start.txt",
        "metrics.csv",
        "metrics.jsonl",
        "curves.png",
        "predictions.jpg",
        "last.pt",
        "last-1.pt",
        "best.pt",
    }
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert ["box_ap" in row for row in rows] == [False, True, False, True]
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert (finished / "start.txt").read_text().startswith("start: random weights")
    recipe = overrides.load_yaml(finished / "recipe.yaml")
    assert recipe == overrides.apply(recipe_of(recipe_file), {"train.ema_decay": 0.9, "train.evaluate_every": 1})


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_its_checkpoints_predict(finished: Path, name: str) -> None:
    predictor = splitnest.load(finished / name, device="cpu")
    assert predictor.recipe == overrides.load_yaml(finished / "recipe.yaml")
    (found,) = predictor.predict(np.zeros((64, 96, 3), np.uint8))
    assert found.categories.names == CLASSES


def test_a_broken_run_goes_on_as_if_it_had_not(finished: Path, recipe_file: Path, tmp_path: Path) -> None:
    values = {"train.ema_decay": 0.9, "train.evaluate_every": 1}
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        train(recipe_file, values, out=tmp_path / "run", device="cpu")
    with pytest.raises(UsageError, match="holds a run already"):
        train(recipe_file, values, out=tmp_path / "run", device="cpu")
    with pytest.raises(UsageError, match=r"begun with train\.learning_rate 0\.001, not 0\.5"):
        train(recipe_file, {**values, "train.learning_rate": 0.5}, resume=True, out=tmp_path / "run", device="cpu")
    run = train(tmp_path / "run", {"train.workers": 1}, resume=True, device="cpu")
    again = train(tmp_path / "run" / "last.pt", resume=True, device="cpu")  # there is nothing left to do
    assert again == run
    assert (run.last, run.best) == (tmp_path / "run" / "last.pt", tmp_path / "run" / "best.pt")
    whole, resumed = state_of(finished / "last.pt"), state_of(run.last)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert run.metrics == torch.load(finished / "best.pt", weights_only=True)["metrics"]


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    content = (folder / "last.pt").read_bytes()
    (folder / "last.pt").write_bytes(content[: len(content) // 2])
    run = train(folder, resume=True, device="cpu")
    said = capsys.readouterr()
    assert f"{folder / 'last.pt'} is cut short or damaged" in said.err
    assert "going on after step 2 of 4" in said.out
    whole, resumed = state_of(finished / "last.pt"), state_of(run.last)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_nothing_to_evaluate_on(recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitnest.trainer.open_validation", lambda _: None)
    run = train(recipe_file, {"train.length": 1}, out=tmp_path / "run", device="cpu")
    assert (run.metrics, run.best) == ({}, None)
    assert run.last.is_file()


def start(recipe_file: Path, source: Path, folder: Path, **values: Any) -> str:
    """Train a step from ``source`` with a learning rate of next to nothing, and return what is said of it."""
    values = {"train.start": str(source), "train.length": 1, "train.unit": "iteration", **values}
    train(recipe_file, {"train.learning_rate": 1e-12, **values}, out=folder, device="cpu")
    return (folder / "start.txt").read_text()


def test_start_from_the_same_network_with_other_classes(recipe_file: Path, tmp_path: Path) -> None:
    recipe = overrides.apply(recipe_of(recipe_file), {"data.classes": "coco"})
    model = build_model(recipe)
    save(model, recipe, tmp_path / "coco.safetensors")
    said = start(recipe_file, tmp_path / "coco.safetensors", tmp_path / "run")
    assert said.startswith("start: the whole model")
    assert said.count(f"re-initialised: 80 classes in the file, {len(CLASSES)} in the model") == 2  # box and mask head
    begun = state_of(tmp_path / "run" / "last.pt")
    source = model.state_dict()
    for key in ("rpn.conv.weight", "roi_heads.box_heads.0.fcs.0.weight", "roi_heads.mask_heads.0.upsample.weight"):
        torch.testing.assert_close(begun[key], source[key])
    assert begun["roi_heads.mask_heads.0.logits.weight"].shape[0] == len(CLASSES)


def test_start_from_our_own_checkpoint_by_name(finished: Path, tmp_path: Path) -> None:
    values = {"train.length": 1, "train.learning_rate": 1e-12, "train.ema_decay": None}
    train(finished / "best.pt", values, out=tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "start.txt").read_text().startswith("start: the whole model")
    before, after = state_of(finished / "best.pt"), state_of(tmp_path / "run" / "last.pt")
    torch.testing.assert_close(after["rpn.conv.weight"], before["rpn.conv.weight"])


def test_start_from_a_classifier(recipe_file: Path, tmp_path: Path) -> None:
    facts = {f"model.backbone.{key}": value for key, value in BACKBONE.items()}
    classifier = overrides.apply(recipes.get("resnest50_imagenet.official"), facts)
    model = build_model(classifier)
    save(model, classifier, tmp_path / "classifier.safetensors")
    said = start(recipe_file, tmp_path / "classifier.safetensors", tmp_path / "run")
    assert said.startswith("start: the backbone alone")
    assert "fc" in said
    assert "not of the backbone" in said
    key = "backbone.c4.0.conv2.conv.weight"
    torch.testing.assert_close(state_of(tmp_path / "run" / "last.pt")[key], model.state_dict()[key])


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            "wider",
            WeightsError,
            r"train\.start, of which at least the backbone must fit: .*wider\.safetensors does not fit",
        ),
        ("nothing.pth", UsageError, r"train\.start: .*nothing\.pth is no file, and no model either"),
    ],
)
def test_a_start_that_cannot_be(
    recipe_file: Path, tmp_path: Path, source: str, error: type[Exception], message: str
) -> None:
    wider = overrides.apply(recipe_of(recipe_file), {"model.backbone.planes": 16})
    save(build_model(wider), wider, tmp_path / "wider.safetensors")
    path = next(tmp_path.glob(f"{source}*"), tmp_path / source)
    with pytest.raises(error, match=message):
        start(recipe_file, path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("resnest50", {}, "data.root is not set"),
        ("tiny", {"train.batch_size": 1}, "leaves one image to each forward pass"),
        ("tiny", {"train.batch_size": 9}, "Set train.batch_size to 8 or less"),
        ("tiny", {"train.start": "resnest50_imagenet.nobody"}, "is no file, and no model either"),
    ],
)
def test_wrong_use(recipe_file: Path, tmp_path: Path, name: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train(recipe_file if name == "tiny" else name, values, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_one_image_is_enough_for_group_norm(recipe_file: Path, tmp_path: Path) -> None:
    values = {"train.batch_size": 1, "train.length": 1, "train.unit": "iteration", "model.backbone.norm": "gn"}
    assert train(recipe_file, values, out=tmp_path / "run", device="cpu").last.is_file()


def test_the_dry_run(recipe_file: Path) -> None:
    text = plan(recipe_file, {"train.warmup_steps": 5, "train.milestones": [1, 3]})
    for part in (
        "  name: tiny\n",
        "8 of 8 photographs",
        "validation: scenes: 2 photographs",
        "4 steps of 4 images, 2 epochs of 2 steps",
        "1e-06 at step 0",
        "note: the training ends before its warm-up of 5 steps does",
        "note: the training ends before the milestones at 6 steps",
        "random weights",
        "MB (weights 1, gradients 1, optimizer 1, activations",
    ):
        assert part in text, part


def test_a_dry_run_finds_missing_photographs(recipe_file: Path, tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 64, "width": 64} for n in range(8)]
    annotations = [
        {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9], "segmentation": [[1, 1, 9, 1, 9, 9]]}
        for n in range(8)
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    data = {"format": "coco", "root": str(tmp_path), "classes": ["cat"], "train_images": ".", "val_images": None}
    with pytest.raises(DataError, match=r"are missing: \S*0\.jpg, .*, \S*4\.jpg and 3 more"):
        plan(recipe_file, {"data": {**data, "train_annotations": "a.json"}})


@pytest.mark.parametrize("name", ["faster_rcnn_resnest50_fpn_1x_coco.mmdet", "mask_rcnn_resnest50_fpn_1x_coco.mmdet"])
def test_the_estimate_of_memory_is_near_what_mmdetection_measured(name: str) -> None:
    recipe = recipes.get(name)
    assert isinstance(recipe, DetectionRecipe)
    facts = DetectionTraining(length=12, learning_rate=0.02, batch_size=2, short_sides=(640, 800))
    gigabytes = sum(estimate(recipe, facts)) / 2**30
    assert 0.8 < gigabytes / recipe.published["train_memory_gb"] < 1.0  # theirs has transient tensors too
    halved = estimate(recipe, facts.model_copy(update={"precision": "bf16"}))
    assert halved.activations == pytest.approx(estimate(recipe, facts).activations / 2, rel=0.01)


def test_norms_are_synchronised_by_the_rule() -> None:
    assert world_size() == 1
    for device, processes, expected in (("cpu", 2, False), ("cuda", 1, False), ("cuda", 2, True)):
        module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        changed = synchronise_norms(module, torch.device(device), processes)
        assert isinstance(changed[1], nn.SyncBatchNorm) == expected
        assert changed.state_dict().keys() == module.state_dict().keys()


@pytest.mark.parametrize("use", [train, plan])
def test_a_recipe_without_training(use: Callable[..., Any], recipe_file: Path) -> None:
    with pytest.raises(UsageError, match="tiny says nothing about training"):
        use(recipe_file, {"train": None})


def test_frozen_stages_need_weights() -> None:
    with pytest.raises(UsageError, match="frozen_stages=0"):
        plan("faster_rcnn_resnet50_fpn_1x_coco.detectron2", {"data.root": "nowhere", "train.start": None})
