"""From a name or a file to a recipe."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitnest import recipes
from splitnest.data.image_folders import complete_classes
from splitnest.data.people import complete_keypoints
from splitnest.errors import UsageError, WeightsError
from splitnest.recipe import ClassificationRecipe, PoseRecipe, Recipe, overrides
from splitnest.runtimes import read_metadata
from splitnest.weights import read

RECIPE_SUFFIXES = (".yaml", ".yml")
CHECKPOINT_SUFFIXES = (".pt", ".pth", ".pkl", ".safetensors")
ONNX_SUFFIX = ".onnx"


def resolve(name_or_path: str | Path, values: Mapping[str, Any] | None = None) -> tuple[Recipe, Path | None]:
    """Return the recipe of a name or file, with overrides applied and completed, and the file if it is a checkpoint."""
    recipe, checkpoint = read_recipe(name_or_path)
    return completed(overrides.apply(recipe, values) if values else recipe), checkpoint


def read_recipe(name_or_path: str | Path) -> tuple[Recipe, Path | None]:
    """Return the recipe of a name or file as it stands there, and the file if it is a checkpoint."""
    path = Path(name_or_path)
    checkpoint = None
    if not path.is_file() or path.suffix == ".py":  # of an upstream configuration the name alone counts
        recipe = _named(str(name_or_path))
    elif path.suffix in RECIPE_SUFFIXES:
        recipe = overrides.load_yaml(path)
    elif path.suffix == ONNX_SUFFIX:
        checkpoint = path
        recipe = overrides.from_json(read_metadata(path)["recipe"])
    else:
        checkpoint = path
        recipe_json = read.read(path).recipe_json
        if recipe_json is None:
            raise WeightsError(
                f"{path} carries no recipe, so it is not known which model it belongs to. "
                f"Name the model and give the file as its weights."
            )
        recipe = overrides.from_json(recipe_json)
    return recipe, checkpoint


def completed(recipe: Recipe) -> Recipe:
    """Return a recipe that says what its classes or keypoints are; print what had to be assumed.

    Raises:
        UsageError: Classes are those of folders, and it is not said where these are.
        DataError: The folders or the annotation file that they are taken from cannot be used.
    """
    if isinstance(recipe, ClassificationRecipe):
        return complete_classes(recipe)
    if not isinstance(recipe, PoseRecipe):
        return recipe
    whole, notes = complete_keypoints(recipe)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return whole


def _named(name: str) -> Recipe:
    try:
        return recipes.get(name)
    except UsageError:
        path = Path(name)
        if path.suffix in RECIPE_SUFFIXES:
            return overrides.load_yaml(path)  # says that it cannot be read
        if path.suffix in (*CHECKPOINT_SUFFIXES, ONNX_SUFFIX):
            raise UsageError(f"{path} does not exist. Check the path.") from None
        if name and path.is_dir():
            raise UsageError(f"{path} is a folder. Name a file in it, such as the last.pt of a run.") from None
        raise
