"""Example recipes: each can be trained, and two that are compared differ only as documented."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers import image_tree
from helpers.paths import ROOT
from splitnest.cli.commands.demo import RECIPE
from splitnest.training.train import plan
from splitnest.zoo import load_recipe

FOLDER = ROOT / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
SYNTHETIC = [RECIPE, *(path for path in EXAMPLES if path.stem.startswith("scenes_"))]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_no_published_weights_or_metrics(path: Path) -> None:
    recipe = load_recipe(path)
    assert (recipe.name, recipe.weights, recipe.published) == (path.stem, None, {})


@pytest.mark.parametrize("path", SYNTHETIC, ids=lambda path: path.stem)
def test_plan_for_synthetic_scenes(path: Path) -> None:
    text = plan(path, {"data.train_count": 32, "data.val_count": 2})
    assert "validation: scenes: 2 images" in text
    assert "initial weights\n  random" in text


def test_cascade_example_is_the_demo_with_a_cascade() -> None:
    demo, cascade = (dict(leaves(load_recipe(path).model_dump())) for path in (RECIPE, FOLDER / "scenes_cascade.yaml"))
    assert {key for key in demo if demo[key] != cascade[key]} == {
        "name",
        "model.cascade",
        "model.roi_match_low_quality",
    }


def test_fine_tune_starts_from_the_published_model(tmp_path: Path) -> None:
    for split, count in (("train", 40), ("val", 1)):
        for name in ("rose", "tulip"):
            for number in range(count):
                image_tree.write(tmp_path / split / name / f"{number}.png")
    text = plan(FOLDER / "fine_tune.yaml", {"data.root": str(tmp_path)})
    assert "classes: [rose, tulip]" in text
    assert "initial weights\n  resnest50_imagenet.official" in text
    assert "80 of 80 images" in text
