"""Models of timm as backbones on the command line."""

from pathlib import Path

import yaml

from helpers.command_line import Run
from helpers.own_networks import SEMANTIC


def test_a_recipe_with_a_model_of_timm(run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({**SEMANTIC, "train": {**SEMANTIC["train"], "iterations": 1}}))
    convnext = "model.backbone={timm: test_convnext}"
    told = run("train", recipe, convnext, "--dry-run").stdout
    assert "timm: test_convnext" in told
    assert "memory of a step" in told
    run("train", recipe, convnext, "--out", tmp_path / "run")
    assert "timm test_convnext" in run("info", tmp_path / "run" / "last.pt").stdout
    for wrong, message in (
        ("test_convnxt", "has no model 'test_convnxt'. Similar names: test_convnext"),
        ("hf-hub:someone/model", "is no name of a model of timm"),
    ):
        assert message in run("train", recipe, f"model.backbone.timm={wrong}", code=2).stderr
