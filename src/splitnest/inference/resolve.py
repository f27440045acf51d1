"""Resolution of a model name or file to a recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitnest import zoo
from splitnest.errors import UsageError, WeightsError, tell
from splitnest.files import versions
from splitnest.inference.foreign_files import foreign_file
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
BEST, LAST = "best.pt", "last.pt"
"""Checkpoints of a run folder."""


def resolve(
    name_or_path: str | Path, values: Mapping[str, Any] | None = None, config: str | Path | None = None
) -> tuple[Recipe, Path | None]:
    """Return the complete recipe of a name or file, with overrides applied, and the file if it is a checkpoint.

    Of a run folder ``best.pt`` is taken, or the last checkpoint if there is none; a printed note says so.

    Args:
        name_or_path: Same as in ``read_recipe``, or run folder.
        values: Values of the recipe by dotted key.
        config: Same as in ``read_recipe``.
    """
    recipe, checkpoint = read_recipe(checkpoint_of_run(name_or_path), config)
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
    if not path.is_file() or path.suffix in (*RECIPE_SUFFIXES, CONFIG_SUFFIX):
        if config is not None:
            raise UsageError(f"{name_or_path} is not a checkpoint, so it takes no configuration. Omit --config.")
        return (_read_config(path) if path.is_file() else _by_name(str(name_or_path))), None
    if path.suffix == ONNX_SUFFIX:
        recipe_json: str | None = read_metadata(path)["recipe"]
    else:
        recipe_json = _recipe_of_checkpoint(path)
    if recipe_json is None:
        return derive_from_checkpoint(read.read(path, shapes_only=True), None if config is None else Path(config)), path
    if config is not None:
        raise UsageError(f"{path} has its recipe, so it takes no configuration. Omit --config.")
    return from_json(recipe_json, f"The recipe in {path}"), path


def _recipe_of_checkpoint(path: Path) -> str | None:
    try:
        return read.read_recipe_json(path)
    except WeightsError as error:
        raise foreign_file(path) or error from error


def checkpoint_of_run(path: str | Path) -> str | Path:
    """Return the checkpoint in a run folder, ``best.pt`` or else the last one, with a printed note.

    Anything else is returned unchanged.
    """
    folder = Path(path)
    checkpoints = run_checkpoints(folder) if str(path) and folder.is_dir() else []
    if not checkpoints:
        return path
    tell(f"note: {folder} is a run folder; {checkpoints[0].name} in it is used")
    return checkpoints[0]


def run_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a run folder, the one to predict with first."""
    best = folder / BEST
    return [*([best] if best.is_file() else []), *versions(folder / LAST)]


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
        tell(f"note: {note}")


def _read_config(path: Path) -> Recipe | Derived:
    """Return the recipe of a recipe file, or of an upstream configuration, which may be known by its name."""
    if path.suffix == CONFIG_SUFFIX:
        try:
            return zoo.get(path.name)
        except UsageError:
            return derive_from_file(path)
    if is_upstream_file(path):
        return derive_from_file(path)
    try:
        return zoo.load_recipe(path)
    except UsageError as error:
        raise foreign_file(path) or error from error


def _by_name(name: str) -> Recipe:
    try:
        return zoo.get(name)
    except UsageError as error:
        path = Path(name)
        if path.suffix == CONFIG_SUFFIX:
            raise UsageError(f"{path} does not exist. {error}") from None
        if path.suffix in RECIPE_SUFFIXES:
            return zoo.load_recipe(path)  # raises the error of the file
        if path.suffix in (*CHECKPOINT_SUFFIXES, ONNX_SUFFIX):
            raise UsageError(f"{path} does not exist. Check the path.") from None
        if name and path.is_dir():
            raise _folder_error(path) from None
        raise


def _folder_error(folder: Path) -> UsageError:
    if checkpoints := run_checkpoints(folder):
        return UsageError(
            f"{folder} is a run folder. Add --resume to resume that run, or give {checkpoints[0]} to start a new "
            f"training from its weights."
        )
    return UsageError(
        f"{folder} is a folder without best.pt or last.pt, so it is not a run folder. Give the name of a published "
        f"model, a recipe (.yaml) or a checkpoint; for a dataset, data.root={folder}, or write a recipe: splitnest new "
        f"{folder}."
    )
