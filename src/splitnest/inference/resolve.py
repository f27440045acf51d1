"""Resolution of a model name or file to a recipe."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.recipe import Recipe, overrides
from splitnest.recipe.serialization import SUFFIXES as RECIPE_SUFFIXES
from splitnest.recipe.serialization import from_json
from splitnest.tasks import task_of
from splitnest.upstream.checkpoint import derive_from_checkpoint, derive_from_file, is_upstream_file
from splitnest.upstream.derive import Derived
from splitnest.weights import read
from splitnest.weights.onnx_metadata import ONNX_SUFFIX, read_metadata

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".pkl", ".safetensors")
CONFIG_SUFFIX = ".py"


def resolve(
    name_or_path: str | Path, values: Mapping[str, Any] | None = None, config: str | Path | None = None
) -> tuple[Recipe, Path | None]:
    """Return the complete recipe of a name or file, with overrides applied, and the file if it is a checkpoint.

    Args:
        name_or_path: Same as in ``read_recipe``.
        values: Values of the recipe by dotted key.
        config: Same as in ``read_recipe``.
    """
    recipe, checkpoint = read_recipe(name_or_path, config)
    return complete(overrides.apply(recipe, values) if values else recipe), checkpoint


def read_recipe(name_or_path: str | Path, config: str | Path | None = None) -> tuple[Recipe, Path | None]:
    """Return the recipe of a name or file, and the file if it is a checkpoint.

    A note is printed for each value of an upstream configuration that was assumed.

    Args:
        name_or_path: Name of a published model, recipe file, upstream configuration, checkpoint or ONNX file.
        config: Upstream configuration of a checkpoint that has neither a recipe nor a configuration; None for none.

    Raises:
        UsageError: There is no such model or file, or its recipe or configuration is not valid.
        WeightsError: A checkpoint cannot be read, or has no recipe and no configuration.
    """
    found, checkpoint = read_model(name_or_path, config)
    if isinstance(found, Derived):
        _print_notes(found.notes)
        return found.recipe, checkpoint
    return found, checkpoint


def read_model(name_or_path: str | Path, config: str | Path | None = None) -> tuple[Recipe | Derived, Path | None]:
    """Return the recipe of a name or file as ``read_recipe`` does, with its origin where it was derived."""
    path = Path(name_or_path)
    if path.suffix == ONNX_SUFFIX and path.is_file():
        return from_json(read_metadata(path)["recipe"]), path
    if not path.is_file() or path.suffix in (*RECIPE_SUFFIXES, CONFIG_SUFFIX):
        if config is not None:
            raise UsageError(f"{name_or_path} is not a checkpoint, so it takes no configuration. Omit --config.")
        return (_read_config(path) if path.is_file() else _by_name(str(name_or_path))), None
    checkpoint = read.read(path, mapped=True)
    if checkpoint.recipe_json is not None:
        if config is not None:
            raise UsageError(f"{path} has its recipe, so it takes no configuration. Omit --config.")
        return from_json(checkpoint.recipe_json), path
    return derive_from_checkpoint(checkpoint, None if config is None else Path(config)), path


def complete(recipe: Recipe) -> Recipe:
    """Return a recipe with the values that are read from its dataset, and print a note for each assumption.

    Raises:
        UsageError: The dataset is needed, and its path is not set.
        DataError: The dataset cannot be read.
    """
    completed: Recipe
    completed, notes = task_of(recipe).complete(recipe)
    _print_notes(notes)
    return completed


def _print_notes(notes: tuple[str, ...] | list[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _read_config(path: Path) -> Recipe | Derived:
    """Return the recipe of a recipe file, or of an upstream configuration, which may be known by its name."""
    if path.suffix == CONFIG_SUFFIX:
        try:
            return zoo.get(path.name)
        except UsageError:
            return derive_from_file(path)
    return derive_from_file(path) if is_upstream_file(path) else zoo.load_recipe(path)


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
