"""Recipe files and the stored forms of a recipe: YAML with an optional base, and JSON inside checkpoints."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

import yaml

from splitnest.errors import UsageError, cannot_read
from splitnest.files import open_text
from splitnest.recipe import overrides
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.recipe.schema import RECIPE_CLASSES, Recipe

SUFFIXES = (".yaml", ".yml")
"""File name endings of recipe files."""

_REPAIR = "Load the weights with the recipe of the run instead, or write the file again."

FindModel = Callable[[str], Recipe]
"""Function that returns the recipe of a published model by its name."""


def load_yaml(path: str | os.PathLike[str], find_model: FindModel) -> Recipe:
    """Read a recipe file: a complete recipe, or ``base`` and overrides.

    ``base`` is the name of a published model, or the path of another recipe file, relative to this one.

    Args:
        path: Path of the file.
        find_model: Look-up of published models.

    Raises:
        UsageError: The file cannot be read, is not a YAML mapping, its bases form a circle, or its recipe is not valid.
    """
    return _load(Path(path), find_model, ())


def dump_yaml(recipe: Recipe) -> str:
    """Return a complete recipe as YAML that ``load_yaml`` reads back unchanged."""
    return to_yaml(recipe.model_dump(mode="json"))


def to_yaml(content: Mapping[str, Any]) -> str:
    """Return plain values as YAML: mappings as blocks, lists in one line."""
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def to_json(recipe: Recipe) -> str:
    """Return a complete recipe as JSON, for the metadata of a checkpoint."""
    return recipe.model_dump_json()


def from_json(text: str, origin: str = "The stored recipe") -> Recipe:
    """Return the recipe that ``to_json`` wrote.

    Args:
        text: JSON text.
        origin: Name of the recipe in messages, such as ``The recipe in best.pt``.

    Raises:
        UsageError: The text is not a JSON object, or its recipe is not valid.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{origin} is not JSON: {error}. {_REPAIR}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{origin} is not a JSON object. {_REPAIR}")
    return _complete(content, f"{origin}: ")


class _Dumper(yaml.SafeDumper):
    """YAML dumper of mappings as blocks and of lists in one line; text with line separators is quoted, not folded."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)
_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)


def _load(path: Path, find_model: FindModel, derived: tuple[Path, ...]) -> Recipe:
    """Read a recipe file that the files ``derived`` have as their base."""
    if path.resolve() in derived:
        raise UsageError(f"{path} is its own base: the bases form a circle. Name a published model as base.")
    content = _read_mapping(path)
    base = content.pop("base", None)
    if base is None:
        return _complete(content, f"{path}: ")
    if not isinstance(base, str):
        raise UsageError(f"{path}: base should be a published model or a recipe file, not {short_repr(base)}.")
    if Path(base).suffix in SUFFIXES and (file := path.parent / base).is_file():
        recipe = _load(file, find_model, (*derived, path.resolve()))
    else:
        try:
            recipe = find_model(base)
        except UsageError as error:
            raise UsageError(f"{path}: base: {error}") from error
    overrides.check_distinct(type(recipe), content, f"{path}: ")
    return overrides.apply(recipe, content, f"{path}: ")


def _read_mapping(path: Path) -> dict[Any, Any]:
    try:
        with open_text(path) as file:
            text = file.read()
    except OSError as error:
        raise UsageError(cannot_read(path, error, "a recipe")) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The recipe {path} is not UTF-8 text.") from error
    content = read_yaml(text, str(path))
    if content is None:
        raise UsageError(f"The recipe {path} is empty. Write at least a line 'base: <name of a published model>'.")
    if not isinstance(content, dict):
        raise UsageError(f"The recipe {path} is not a mapping of keys to values.")
    return content


def _complete(content: dict[Any, Any], where: str) -> Recipe:
    """Validate a recipe without a base."""
    task = content.get("task")
    if not isinstance(task, str) or task not in RECIPE_CLASSES:
        given = "there is neither base nor task" if task is None else f"there is no task {short_repr(task)}"
        raise UsageError(f"{where}{given}. Name a published model as base, or a task: {', '.join(RECIPE_CLASSES)}.")
    overrides.check_distinct(RECIPE_CLASSES[task], content, where)
    return overrides.build(RECIPE_CLASSES[task], content, where)
