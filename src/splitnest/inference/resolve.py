"""Resolution of a model name or file to a recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitnest import zoo
from splitnest.errors import UsageError, WeightsError, tell
from splitnest.recipe import Recipe, overrides
from splitnest.recipe.serialization import SUFFIXES as RECIPE_SUFFIXES
from splitnest.recipe.serialization import from_json
from splitnest.tasks import task_of
from splitnest.weights import read
from splitnest.weights.onnx_metadata import ONNX_SUFFIX, read_metadata

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".pkl", ".safetensors")


def resolve(name_or_path: str | Path, values: Mapping[str, Any] | None = None) -> tuple[Recipe, Path | None]:
    """Return the complete recipe of a name or file, with overrides applied, and the file if it is a checkpoint."""
    recipe, checkpoint = read_recipe(name_or_path)
    return complete(overrides.apply(recipe, values) if values else recipe), checkpoint


def read_recipe(name_or_path: str | Path) -> tuple[Recipe, Path | None]:
    """Return the recipe of a name or file, and the file if it is a checkpoint.

    Raises:
        UsageError: There is no such model or file, or its recipe is not valid.
        WeightsError: A checkpoint cannot be read, or has no recipe.
    """
    path = Path(name_or_path)
    if not path.is_file() or path.suffix == ".py":  # only the name of an upstream configuration matters
        return _by_name(str(name_or_path)), None
    if path.suffix in RECIPE_SUFFIXES:
        return zoo.load_recipe(path), None
    if path.suffix == ONNX_SUFFIX:
        return from_json(read_metadata(path)["recipe"], f"The recipe in {path}"), path
    recipe_json = read.read_recipe_json(path)
    if recipe_json is None:
        raise WeightsError(
            f"{path} has no recipe, so its model is unknown. Name the model, and give the file as its weights."
        )
    return from_json(recipe_json, f"The recipe in {path}"), path


def complete(recipe: Recipe) -> Recipe:
    """Return a recipe with the values that are read from its dataset, and print a note for each assumption.

    Raises:
        UsageError: The dataset is needed, and its path is not set.
        DataError: The dataset cannot be read.
    """
    completed: Recipe
    completed, notes = task_of(recipe).complete(recipe)
    for note in notes:
        tell(f"note: {note}")
    return completed


def _by_name(name: str) -> Recipe:
    try:
        return zoo.get(name)
    except UsageError:
        path = Path(name)
        if path.suffix in RECIPE_SUFFIXES:
            return zoo.load_recipe(path)  # raises the error of the file
        if path.suffix in (*CHECKPOINT_SUFFIXES, ONNX_SUFFIX):
            raise UsageError(f"{path} does not exist. Check the path.") from None
        if name and path.is_dir():
            raise UsageError(f"{path} is a folder. Give a file in it, such as the last.pt of a run.") from None
        raise
