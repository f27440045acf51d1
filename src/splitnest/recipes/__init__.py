"""The published models, one literal row each. Listing them needs neither pydantic nor torch."""

from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from splitnest.errors import UsageError
from splitnest.recipes import classification, detection, pose, segmentation
from splitnest.recipes.published import PUBLISHED

if TYPE_CHECKING:
    from splitnest.recipe.schema import Recipe

_ROWS: dict[str, dict[str, Any]] = {**classification.ROWS, **detection.ROWS, **segmentation.ROWS, **pose.ROWS}

TASK_OF: dict[str, str] = {name: row["task"] for name, row in _ROWS.items()}
"""Name of each published model -> its task."""

TASKS: tuple[str, ...] = tuple(dict.fromkeys(TASK_OF.values()))
"""The tasks, in the order of the listing."""


def names(task: str | None = None, pattern: str = "*") -> list[str]:
    """Names of the published models, sorted by task, then by name.

    Args:
        task: Only models of this task.
        pattern: Only names that match it, with the wildcards ``*``, ``?`` and ``[...]``.

    Raises:
        UsageError: There is no such task.
    """
    if task is not None and task not in TASKS:
        raise UsageError(f"There is no task {task!r}; the tasks are {', '.join(TASKS)}.")
    found = [name for name in TASK_OF if task in (None, TASK_OF[name]) and fnmatchcase(name, pattern)]
    return sorted(found, key=lambda name: (TASKS.index(TASK_OF[name]), name))


def resolve(name: str) -> str:
    """Full name of a published model.

    Args:
        name: A full name, one without its source where only one source has it, the file name of an upstream
            configuration (of either generation, with or without folder and extension), a timm id or hub name.

    Raises:
        UsageError: Nothing has that name, or several models have it.
    """
    spelling = name.rsplit("/", 1)[-1].removesuffix(".py").removesuffix(".yaml").removesuffix(".yml")
    spellings = _spellings()
    found = spellings.get(spelling, ())
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"Several published models are called {name!r}: {', '.join(found)}. Add the source.")
    close = get_close_matches(spelling, spellings, n=len(spellings), cutoff=0.0)
    nearest = list(dict.fromkeys(full for alias in close for full in spellings[alias]))[:3]
    raise UsageError(f"No published model is called {name!r}; the nearest are {', '.join(nearest)}.")


def get(name: str) -> "Recipe":
    """The validated recipe of a published model.

    Args:
        name: Any name that ``resolve`` takes.

    Raises:
        UsageError: As ``resolve``.
    """
    return _recipe(resolve(name))


@cache
def _spellings() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for full in _ROWS:
        for spelling in (full, full.rpartition(".")[0], *PUBLISHED[full].aliases):
            found[spelling] = (*found.get(spelling, ()), full)
    return found


@cache
def _recipe(full: str) -> "Recipe":
    from splitnest.recipe.schema import RECIPE

    published = PUBLISHED[full]
    weights = {"url": published.url, "sha256": published.sha256, "layout": full.rpartition(".")[2]}
    return RECIPE.validate_python({**_ROWS[full], "name": full, "weights": weights, "published": published.metrics})
