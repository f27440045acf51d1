"""Registry of published models. Listing them imports neither pydantic nor torch."""

import os
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from splitnest.errors import UsageError, first_few
from splitnest.zoo import classification, detection, pose, segmentation, upstream
from splitnest.zoo.backbones import backbone_name
from splitnest.zoo.published import PUBLISHED, Published

if TYPE_CHECKING:
    from splitnest.recipe import Recipe

_ROWS: dict[str, dict[str, Any]] = {**classification.ROWS, **detection.ROWS, **segmentation.ROWS, **pose.ROWS}

TASK_OF: dict[str, str] = {name: row["task"] for name, row in _ROWS.items()} | {
    name: row.task for name, row in upstream.ROWS.items()
}
"""Name of a published model -> its task."""

TASKS: tuple[str, ...] = tuple(dict.fromkeys(TASK_OF.values()))
"""Tasks in the order of listings."""

_DATASETS = {"imagenet": "ImageNet", "coco": "COCO", "cityscapes": "Cityscapes", "ade20k": "ADE20K"}
"""Class table of a row of ResNeSt -> dataset; those of pose have the class person of COCO."""


def list_models(
    task: str | None = None,
    pattern: str = "*",
    *,
    source: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
) -> list[str]:
    """Return the names of published models, sorted by task and then by name.

    Patterns have the wildcards ``*``, ``?`` and ``[...]``; those of dataset and backbone ignore the case.

    Args:
        task: Task of the models; None lists all tasks.
        pattern: Pattern of names with the wildcards ``*``, ``?`` and ``[...]``, in any letter case; without one of
            them, a part of the names.
        source: Code base that published the models, such as ``mmdet``; None lists all.
        dataset: Pattern of datasets, such as ``coco*``; None lists all.
        backbone: Pattern of backbones, such as ``resnext-101*``; None lists all.

    Raises:
        UsageError: There is no such task, source, dataset or backbone.
    """
    pattern = pattern.lower() if set("*?[") & set(pattern) else f"*{pattern.lower()}*"
    if task is not None and task not in TASKS:
        raise UsageError(f"There is no task {task!r}. The tasks are {', '.join(TASKS)}.")
    names = [name for name in TASK_OF if task in (None, TASK_OF[name]) and fnmatchcase(name.lower(), pattern)]
    for value, what, of in (
        (source, "source", source_of),
        (dataset, "dataset", dataset_of),
        (backbone, "backbone", backbone_of),
    ):
        if value is not None:
            known = {of(name) for name in TASK_OF}
            matching = {one for one in known if fnmatchcase(one.lower(), value.lower())}
            if not matching:
                raise UsageError(f"There is no {what} {value!r}. The {what}s are {first_few(sorted(known), 50)}.")
            names = [name for name in names if of(name) in matching]
    return sorted(names, key=lambda name: (TASKS.index(TASK_OF[name]), name))


def source_of(full: str) -> str:
    """Return the code base that published a model, given its full name."""
    return full.rpartition(".")[2]


def dataset_of(full: str) -> str:
    """Return the dataset that a model was trained on, given its full name."""
    if full in upstream.ROWS:
        return upstream.ROWS[full].dataset
    return _DATASETS.get(_ROWS[full]["data"]["classes"], "COCO")


def backbone_of(full: str) -> str:
    """Return the backbone of a model, given its full name."""
    if full in upstream.ROWS:
        return upstream.ROWS[full].backbone
    return backbone_name(_ROWS[full]["model"]["backbone"])


def untrained(name: str) -> str:
    """Return the reason why the recipe of a model has no training section; empty if it has one, or is no row."""
    return upstream.ROWS[name].untrained if name in upstream.ROWS else ""


def published(full: str) -> Published:
    """Return the published file of a model, given its full name."""
    return upstream.ROWS[full].published if full in upstream.ROWS else PUBLISHED[full]


def full_name(name: str) -> str:
    """Return the full name of a published model.

    Args:
        name: Full name, name without its source if it is unique, timm name, Hugging Face Hub id, or file name of an
            upstream config of either generation, with or without folder and extension.

    Raises:
        UsageError: No model has the name, or several have it.
    """
    spellings = _spellings()
    spelling = _without_folder(name)
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


def _without_folder(name: str) -> str:
    """Return a name without folder and extension; the folder stays where it tells two models of detectron2 apart."""
    parts = name.removesuffix(".py").removesuffix(".yaml").removesuffix(".yml").split("/")
    with_folder = "_".join(parts[-2:])
    return with_folder if with_folder in _spellings() else parts[-1]


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
    for full in TASK_OF:
        aliases = upstream.ROWS[full].aliases.split() if full in upstream.ROWS else PUBLISHED[full].aliases
        for spelling in (full, full.rpartition(".")[0], *aliases):
            spellings[spelling] = (*spellings.get(spelling, ()), full)
    return spellings


@cache
def _recipe(full: str) -> "Recipe":
    from splitnest.recipe.overrides import build
    from splitnest.recipe.schema import RECIPE_CLASSES

    row = upstream.ROWS[full].fields if full in upstream.ROWS else _ROWS[full]
    file = published(full)
    weights = {"url": file.url, "sha256": file.sha256}
    return build(RECIPE_CLASSES[row["task"]], {**row, "name": full, "weights": weights, "published": file.metrics})
