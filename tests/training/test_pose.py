"""Training of a pose estimator: plan, initial weights, and a whole training by its recipe."""

from pathlib import Path

import torch
from PIL import Image

import splitnest
from helpers import person_tree
from splitnest.models.build import build_model
from splitnest.recipe import overrides
from splitnest.recipe.serialization import dump_yaml
from splitnest.training.init_from import load_initial_weights
from splitnest.training.train import plan
from splitnest.weights import save


def test_trained_model_is_evaluated_as_in_the_training(tmp_path: Path) -> None:
    values = {
        **person_tree.SMALL,
        "data": {"format": "scenes", "train_count": 6, "val_count": 2, "height": 120, "width": 160,
                 "keypoints": "coco", "classes": ["person"]},
        "train": {"batch_size": 4, "iterations": 4, "init_from": None, "workers": 0, "schedule": "cosine",
                  "warmup_iterations": 0, "evaluate_every": 4, "lr": 0.002},
    }  # fmt: skip
    run = splitnest.train("simplebaseline_resnest50_256x192_coco", values, out=tmp_path / "run", device="cpu")
    assert set(run.metrics) >= {"ap", "ap50", "ar"}
    with Image.open(tmp_path / "run" / "predictions.jpg") as sheet:
        assert sheet.size[0] > 400
    predictor = splitnest.load(run.last, device="cpu")
    assert predictor.recipe.data.keypoints == "coco"
    assert splitnest.evaluate(predictor)["ap"] == run.metrics["ap"]
    assert "loss_heatmap" in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_keypoints_are_read_from_the_annotation_file_of_the_overrides(tmp_path: Path) -> None:
    """Overrides are applied before the missing parts of the keypoint definition are read."""
    content = person_tree.content()
    content["categories"][0]["sigmas"] = [0.3, 0.2, 0.1]
    data = person_tree.write(tmp_path, content)
    recipe = person_tree.recipe_of({"keypoints": {"names": person_tree.NAMES, "sigmas": None}, "root": "/nowhere"})
    (tmp_path / "r.yaml").write_text(dump_yaml(recipe))
    text = plan(tmp_path / "r.yaml", {f"data.{key}": value for key, value in data.items() if key != "keypoints"} | {
        "train.batch_size": 2, "train.init_from": None})  # fmt: skip
    assert "sigmas: [0.3, 0.2, 0.1]" in text
    assert "skeleton: [[nose, left_hand], [nose, right_hand]]" in text


def test_plan_counts_persons(tmp_path: Path) -> None:
    recipe = person_tree.recipe_of(person_tree.write(tmp_path), train={"batch_size": 2, "init_from": None})
    (tmp_path / "r.yaml").write_text(dump_yaml(recipe))
    text = plan(tmp_path / "r.yaml")
    assert "2 of 4 persons in 3 images" in text
    assert "memory of a step" in text


def test_other_keypoints_have_random_weights(tmp_path: Path) -> None:
    base = person_tree.recipe_of({"keypoints": "coco", "classes": ["person"]})
    source = build_model(base)
    save.save(source, base, tmp_path / "coco.safetensors")
    target = build_model(person_tree.recipe_of({}))
    report = load_initial_weights(target, str(tmp_path / "coco.safetensors"))
    assert "random weights: 17 keypoints in the file, 3 in the model" in report
    assert torch.equal(
        target.state_dict()["head.deconvs.2.conv.weight"], source.state_dict()["head.deconvs.2.conv.weight"]
    )


def test_stem_of_another_width_has_random_weights(tmp_path: Path) -> None:
    """The published models of 101 layers and more have a narrower stem than the weights of ImageNet they start from."""
    backbone = {"depth": 14, "planes": 16, "stem_width": 32}
    wide = overrides.apply(splitnest.zoo.get("resnest50_imagenet.official"), {"model": {"backbone": backbone}})
    save.save(build_model(wide), wide, tmp_path / "wide.safetensors")
    report = load_initial_weights(build_model(person_tree.recipe_of({})), str(tmp_path / "wide.safetensors"))
    assert "initial weights: backbone only" in report
    assert "stem.0.conv.weight [32, 3, 3, 3] in the file, [16, 3, 3, 3] in the model" in report
