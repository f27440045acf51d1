"""The example recipes: each can be trained, and what is compared in the documentation differs only where it says so."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import image_tree
import pytest

from splitnest.demo import RECIPE
from splitnest.recipe.overrides import load_yaml
from splitnest.trainer import plan

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
DRAWN = [RECIPE, *(path for path in EXAMPLES if path.stem.startswith("scenes_"))]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_claims_nothing_of_its_base(path: Path) -> None:
    recipe = load_yaml(path)
    assert (recipe.name, recipe.weights, recipe.published) == (path.stem, None, {})


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_drawn_scenes_can_be_trained(path: Path) -> None:
    text = plan(path, {"data.scenes.train_count": 8, "data.scenes.val_count": 2})
    assert "validation: scenes: 2 photographs" in text
    assert "random weights" in text


def test_the_cascade_that_is_compared_is_the_demo_with_a_cascade() -> None:
    demo, cascade = (dict(leaves(load_yaml(path).model_dump())) for path in (RECIPE, FOLDER / "scenes_cascade.yaml"))
    assert {key for key in demo if demo[key] != cascade[key]} == {"name", "model.cascade", "model.roi_low_quality"}


def test_fine_tuning_starts_from_the_published_model(tmp_path: Path) -> None:
    for split, count in (("train", 40), ("val", 1)):
        for name in ("rose", "tulip"):
            for number in range(count):
                image_tree.write(tmp_path / split / name / f"{number}.png")
    text = plan(FOLDER / "fine_tune.yaml", {"data.root": str(tmp_path)})
    assert "classes: [rose, tulip]" in text
    assert "start\n  resnest50_imagenet.official" in text
    assert "80 of 80 photographs" in text
