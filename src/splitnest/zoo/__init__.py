"""Registry of published models. Listing them imports neither pydantic nor torch."""

import os
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from splitnest.errors import UsageError
from splitnest.zoo import classification, detection, pose, segmentation
from splitnest.zoo.published import PUBLISHED

if TYPE_CHECKING:
    from splitnest.recipe import Recipe

_ROWS: dict[str, dict[str, Any]] = {**classification.ROWS, **detection.ROWS, **segmentation.ROWS, **pose.ROWS}

TASK_OF: dict[str, str] = {name: row["task"] for name, row in _ROWS.items()}
"""Name of a published model -> its task."""

TASKS: tuple[str, ...] = tuple(dict.fromkeys(TASK_OF.values()))
"""Tasks in the order of listings."""


def list_models(task: str | None = None, pattern: str = "*") -> list[str]:
    """Return the names of published models, sorted by task and then by name.

    Args:
        task: Task of the models; None lists all tasks.
        pattern: Pattern of names with the wildcards ``*``, ``?`` and ``[...]``, in any letter case; without one of
            them, a part of the names.

    Raises:
        UsageError: There is no such task.
    """
    pattern = pattern.lower() if set("*?[") & set(pattern) else f"*{pattern.lower()}*"
    if task is not None and task not in TASKS:
        raise UsageError(f"There is no task {task!r}. The tasks are {', '.join(TASKS)}.")
    names = [name for name in TASK_OF if task in (None, TASK_OF[name]) and fnmatchcase(name.lower(), pattern)]
    return sorted(names, key=lambda name: (TASKS.index(TASK_OF[name]), name))


def full_name(name: str) -> str:
    """Return the full name of a published model.

    Args:
        name: Full name, name without its source if it is unique, timm name, Hugging Face Hub id, or file name of an
            upstream config of either generation, with or without folder and extension.

    Raises:
        UsageError: No model has the name, or several have it.
    """
    spelling = name.rsplit("/", 1)[-1].removesuffix(".py").removesuffix(".yaml").removesuffix(".yml")
    spellings = _spellings()
    matches = spellings.get(spelling, ())
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"Several published models are called {name!r}: {', '.join(matches)}. Use one of these names.")
    raise UsageError(f"No published model is called {name!r}. The nearest are {', '.join(nearest(spelling))}.")


def nearest(name: str, count: int = 3) -> list[str]:
    """Return the full names of the published models whose names are most like ``name``."""
    spellings = _spellings()
    close = get_close_matches(name, spellings, n=len(spellings), cutoff=0.0)
    return list(dict.fromkeys(full for alias in close for full in spellings[alias]))[:count]


def get(name: str) -> "Recipe":
    """Return the recipe of a published model.

    Args:
        name: Any name that ``full_name`` accepts.

    Raises:
        UsageError: No model has the name, or several have it.
    """
    return _recipe(full_name(name))


def load_recipe(path: str | os.PathLike[str]) -> "Recipe":
    """Read a recipe file.

    Args:
        path: Path of the file. Its ``base`` may be a published model or another recipe file.

    Raises:
        UsageError: The file cannot be read, is not a YAML mapping, or its recipe is not valid.
    """
    from splitnest.recipe.serialization import load_yaml

    return load_yaml(path, get)


@cache
def _spellings() -> dict[str, tuple[str, ...]]:
    """Return full names by each accepted name."""
    spellings: dict[str, tuple[str, ...]] = {}
    for full in _ROWS:
        for spelling in (full, full.rpartition(".")[0], *PUBLISHED[full].aliases):
            spellings[spelling] = (*spellings.get(spelling, ()), full)
    return spellings


@cache
def _recipe(full: str) -> "Recipe":
    from splitnest.recipe.overrides import build
    from splitnest.recipe.schema import RECIPE_CLASSES

    row, published = _ROWS[full], PUBLISHED[full]
    weights = {"url": published.url, "sha256": published.sha256}
    return build(RECIPE_CLASSES[row["task"]], {**row, "name": full, "weights": weights, "published": published.metrics})
