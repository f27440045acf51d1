"""Training of a tiny detector by its recipe: run folder, resuming, initial weights, dry run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torchvision.transforms import v2

import splitnest
from helpers.tiny_detector import BACKBONE, CLASSES, CONTENT
from helpers.tiny_training import assert_equal_tensors, interrupted, state_dict_of
from splitnest import distributed, zoo
from splitnest.errors import DataError, UsageError, WeightsError
from splitnest.models.build import build_model
from splitnest.recipe import DetectionRecipe, overrides
from splitnest.training.lock import LOCK_FILE
from splitnest.training.memory import estimate_memory
from splitnest.training.train import plan, train
from splitnest.weights.save import save

ONE_STEP = {"train.iterations": 1, "train.schedule": "cosine"}


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    return path


@pytest.fixture(scope="module")
def finished(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of an uninterrupted training of 4 steps."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(recipe_file, {"train.ema_decay": 0.9, "train.evaluate_every": 1}, out=folder, device="cpu")
    return folder


def recipe_of(path: Path) -> DetectionRecipe:
    recipe = zoo.load_recipe(path)
    assert isinstance(recipe, DetectionRecipe)
    return recipe


def test_run_folder_has_all_files(finished: Path, recipe_file: Path) -> None:
    assert {path.name for path in finished.iterdir() if not path.name.startswith("events.")} == {
        "recipe.yaml",
        "environment.txt",
        "init_from.txt",
        "metrics.csv",
        "metrics.jsonl",
        "curves.png",
        "predictions.jpg",
        "report.html",
        "report.json",
        "statistics.npz",
        "last.pt",
        "last-1.pt",
        "best.pt",
        LOCK_FILE,
    }
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert ["box_ap" in row for row in rows] == [False, True, False, True]
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert (finished / "init_from.txt").read_text().startswith("initial weights: random, ")
    recipe = zoo.load_recipe(finished / "recipe.yaml")
    assert recipe == overrides.apply(recipe_of(recipe_file), {"train.ema_decay": 0.9, "train.evaluate_every": 1})


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_checkpoints_predict(finished: Path, name: str) -> None:
    predictor = splitnest.load(finished / name, device="cpu")
    assert predictor.recipe == zoo.load_recipe(finished / "recipe.yaml")
    (detections,) = predictor.predict(np.zeros((64, 96, 3), np.uint8))
    assert detections.categories.names == CLASSES


def test_resumed_run_equals_an_uninterrupted_one(finished: Path, recipe_file: Path, tmp_path: Path) -> None:
    values = {"train.ema_decay": 0.9, "train.evaluate_every": 1}
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        train(recipe_file, values, out=tmp_path / "run", device="cpu")
    with pytest.raises(UsageError, match="has a run already"):
        train(recipe_file, values, out=tmp_path / "run", device="cpu")
    with pytest.raises(UsageError, match=r"started with train\.lr 0\.001, not 0\.5"):
        train(recipe_file, {**values, "train.lr": 0.5}, resume=True, out=tmp_path / "run", device="cpu")
    run = train(tmp_path / "run", {"train.workers": 1}, resume=True, device="cpu")
    again = train(tmp_path / "run" / "last.pt", resume=True, device="cpu")  # takes no step
    assert again == run
    assert (run.last, run.best) == (tmp_path / "run" / "last.pt", tmp_path / "run" / "best.pt")
    assert_equal_tensors(state_dict_of(finished / "last.pt"), state_dict_of(run.last))
    assert run.metrics == torch.load(finished / "best.pt", weights_only=True)["metrics"]


def test_resumed_run_with_augmentations_equals_an_uninterrupted_one(recipe_file: Path, tmp_path: Path) -> None:
    """With a list, a function of the user, and data loading in the training process and in workers."""
    entries = ["color_jitter", {"type": "large_scale_jitter", "scale": [0.5, 2]}, {"type": "copy_paste", "p": 1}]
    values = {"train.augment": entries, "train.save_every": 1}
    augment = v2.RandomRotation(20)
    whole = train(recipe_file, values, out=tmp_path / "whole", device="cpu", augment=augment)
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        train(recipe_file, values, out=tmp_path / "run", device="cpu", augment=augment)
    run = train(tmp_path / "run", {"train.workers": 1}, resume=True, device="cpu", augment=augment)
    assert_equal_tensors(state_dict_of(whole.last), state_dict_of(run.last))
    with pytest.raises(UsageError, match=r"started with train\.augment"):
        train(tmp_path / "run", {"train.augment": []}, resume=True, device="cpu")


def test_damaged_checkpoint_resumes_from_the_previous_one(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    content = (folder / "last.pt").read_bytes()
    (folder / "last.pt").write_bytes(content[: len(content) // 2])
    run = train(folder, resume=True, device="cpu")
    printed = capsys.readouterr()
    assert f"{folder / 'last.pt'} is truncated or damaged" in printed.err
    assert "resuming after step 2 of 4" in printed.out
    assert_equal_tensors(state_dict_of(finished / "last.pt"), state_dict_of(run.last))


def test_training_without_validation_data_has_no_best_checkpoint(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitnest.training.train.open_validation", lambda *_: None)
    run = train(recipe_file, ONE_STEP, out=tmp_path / "run", device="cpu")
    assert (run.metrics, run.best) == ({}, None)
    assert run.last.is_file()


def train_from(recipe_file: Path, source: Path, folder: Path) -> str:
    """Train a step from initial weights with a learning rate near 0, and return the report of the weights."""
    values = {"train.init_from": str(source), "train.lr": 1e-12, **ONE_STEP}
    train(recipe_file, values, out=folder, device="cpu")
    return (folder / "init_from.txt").read_text()


def test_same_network_with_other_classes_is_loaded_whole(recipe_file: Path, tmp_path: Path) -> None:
    recipe = overrides.apply(recipe_of(recipe_file), {"data.classes": "coco"})
    model = build_model(recipe)
    save(model, recipe, tmp_path / "coco.safetensors")
    report = train_from(recipe_file, tmp_path / "coco.safetensors", tmp_path / "run")
    assert report.startswith("initial weights: whole model")
    assert report.count(f"random weights: 80 classes in the file, {len(CLASSES)} in the model") == 2  # box, mask head
    loaded = state_dict_of(tmp_path / "run" / "last.pt")
    source = model.state_dict()
    for key in ("rpn.conv.weight", "roi_heads.box_heads.0.fcs.0.weight", "roi_heads.mask_heads.0.upsample.weight"):
        torch.testing.assert_close(loaded[key], source[key])
    assert loaded["roi_heads.mask_heads.0.logits.weight"].shape[0] == len(CLASSES)


def test_own_checkpoint_is_recipe_and_initial_weights(finished: Path, tmp_path: Path) -> None:
    values = {"train.lr": 1e-12, "train.ema_decay": None, **ONE_STEP}
    train(finished / "best.pt", values, out=tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "init_from.txt").read_text().startswith("initial weights: whole model")
    before, after = state_dict_of(finished / "best.pt"), state_dict_of(tmp_path / "run" / "last.pt")
    torch.testing.assert_close(after["rpn.conv.weight"], before["rpn.conv.weight"])


def test_backbone_of_a_classifier_is_loaded(recipe_file: Path, tmp_path: Path) -> None:
    backbone = {f"model.backbone.{key}": value for key, value in BACKBONE.items()}
    classifier = overrides.apply(zoo.get("resnest50_imagenet.official"), backbone)
    model = build_model(classifier)
    save(model, classifier, tmp_path / "classifier.safetensors")
    report = train_from(recipe_file, tmp_path / "classifier.safetensors", tmp_path / "run")
    assert report.startswith("initial weights: backbone only")
    assert "fc" in report
    assert "not in the backbone" in report
    key = "backbone.c4.0.conv2.conv.weight"
    torch.testing.assert_close(state_dict_of(tmp_path / "run" / "last.pt")[key], model.state_dict()[key])


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            "wider",
            WeightsError,
            r"train\.init_from: at least the backbone must fit\. .*wider\.safetensors does not fit",
        ),
        ("nothing.pth", UsageError, r"train\.init_from: .*nothing\.pth is neither a file nor a model"),
    ],
)
def test_initial_weights_that_do_not_fit_are_an_error(
    recipe_file: Path, tmp_path: Path, source: str, error: type[Exception], message: str
) -> None:
    wider = overrides.apply(recipe_of(recipe_file), {"model.backbone.planes": 16})
    save(build_model(wider), wider, tmp_path / "wider.safetensors")
    path = next(tmp_path.glob(f"{source}*"), tmp_path / source)
    with pytest.raises(error, match=message):
        train_from(recipe_file, path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("resnest50", {}, "data.root is not set"),
        ("tiny", {"train.batch_size": 1}, "With one image per forward pass"),
        ("tiny", {"train.batch_size": 9}, "only 8 training samples. Set it to 8 or less"),
        ("tiny", {"train.init_from": "resnest50_imagenet.nobody"}, "is neither a file nor a model"),
    ],
)
def test_invalid_recipes_are_usage_errors(
    recipe_file: Path, tmp_path: Path, name: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(recipe_file if name == "tiny" else name, values, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_group_norm_trains_on_one_image(recipe_file: Path, tmp_path: Path) -> None:
    values = {"train.batch_size": 1, "model.backbone.norm": "gn", **ONE_STEP}
    assert train(recipe_file, values, out=tmp_path / "run", device="cpu").last.is_file()


def test_plan_has_recipe_data_schedule_and_memory(recipe_file: Path) -> None:
    text = plan(recipe_file, {"train.warmup_iterations": 5, "train.schedule.milestones": [1, 3]})
    for part in (
        "  name: tiny\n",
        "8 of 8 images",
        "validation: scenes: 2 images",
        "4 steps of 4 images, 2 epochs of 2 steps",
        "1e-06 at step 0",
        "note: the training ends before its warm-up of 5 steps\n",
        "note: the training ends before the milestones at 6 steps",
        "initial weights\n  random\n",
        "MB (weights 1, gradients 1, optimizer 1, activations",
    ):
        assert part in text, part


def test_plan_reports_missing_images(recipe_file: Path, tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 64, "width": 64} for n in range(8)]
    annotations = [
        {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9], "segmentation": [[1, 1, 9, 1, 9, 9]]}
        for n in range(8)
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    data = {"format": "coco", "root": str(tmp_path), "classes": ["cat"], "train_images": ".", "val_images": None}
    with pytest.raises(DataError, match=r"do not exist: \S*0\.jpg, .*, \S*4\.jpg and 3 more"):
        plan(recipe_file, {"data": {**data, "train_annotations": "a.json"}})


@pytest.mark.parametrize("name", ["faster_rcnn_resnest50_fpn_1x_coco.mmdet", "mask_rcnn_resnest50_fpn_1x_coco.mmdet"])
def test_estimated_memory_is_near_that_measured_by_mmdetection(name: str) -> None:
    recipe = zoo.get(name)
    values = {"batch_size": 2, "short_sides": [640, 800], "long_side": 1333, "precision": "fp32"}
    fp32 = estimate_memory(overrides.apply(recipe, {"train": values}))
    # Temporary tensors are part of the measurement, but not of the estimate.
    assert 0.8 < sum(fp32) / 2**30 / recipe.published["train_memory_gb"] < 1.0
    bf16 = estimate_memory(overrides.apply(recipe, {"train": {**values, "precision": "bf16"}}))
    assert bf16.activations == pytest.approx(fp32.activations / 2, rel=0.01)


def test_norms_are_synchronized_on_several_gpus_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, world_size, expected in (("cpu", 2, False), ("cuda", 1, False), ("cuda", 2, True)):
        module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        monkeypatch.setattr(distributed, "world_size", lambda world_size=world_size: world_size)
        converted = distributed.convert_sync_batchnorm(module, torch.device(device))
        assert isinstance(converted[1], nn.SyncBatchNorm) == expected
        assert converted.state_dict().keys() == module.state_dict().keys()


@pytest.mark.parametrize("use", [train, plan])
def test_recipe_without_training_section_is_an_error(use: Callable[..., Any], recipe_file: Path) -> None:
    with pytest.raises(UsageError, match="tiny has no section 'train'"):
        use(recipe_file, {"train": None})


def test_frozen_stages_need_initial_weights() -> None:
    with pytest.raises(UsageError, match="frozen_stages=0"):
        plan("faster_rcnn_resnet50_fpn_1x_coco.detectron2", {"data.root": "nowhere", "train.init_from": None})
