"""Changes to a recipe: ``key=value`` on the command line, YAML files, and the stored forms of a whole recipe.

A key is dotted (``input.short_side``); a mapping stands for the keys below it, so ``{"input": {"short_side": 600}}`` is
the same. The schema checks the values. Every error is a ``UsageError`` that names the key, the file if there is one,
and what was expected.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from splitnest import recipes
from splitnest.errors import UsageError
from splitnest.recipe.conventions import NAMED
from splitnest.recipe.schema import ClassificationRecipe, DetectionRecipe, PoseRecipe, Recipe, SemanticRecipe

RecipeClass = type[ClassificationRecipe] | type[DetectionRecipe] | type[SemanticRecipe] | type[PoseRecipe]

_CLASS_OF: dict[str, RecipeClass] = {
    "classification": ClassificationRecipe,
    "detection": DetectionRecipe,
    "instance": DetectionRecipe,
    "panoptic": DetectionRecipe,
    "semantic": SemanticRecipe,
    "pose": PoseRecipe,
}


def apply(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe with some of its values replaced.

    Args:
        recipe: The base.
        overrides: Dotted keys -> values. A mapping changes only the keys that it holds.

    Raises:
        UsageError: An unknown key, a value of the wrong type or out of range, or values that do not go together.
    """
    return _validated(type(recipe), recipe.model_dump(), overrides, "")


def parse(assignments: Iterable[str]) -> dict[str, Any]:
    """Overrides from the command line.

    Args:
        assignments: Texts like ``data.root=/data/coco`` or ``data.classes=[cat, dog]``. Values are YAML; the last
            one of a key counts.

    Raises:
        UsageError: A text is no ``key=value``, or its value is no YAML.
    """
    overrides = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"{text!r} is no override; write key=value, for example input.short_side=600.")
        overrides[key.strip()] = _read_yaml(value, f"The value of {key.strip()}")
    return overrides


def load_yaml(path: str | os.PathLike[str]) -> Recipe:
    """Reads a user's recipe: ``base: <published name>`` and overrides, or a whole recipe as ``dump_yaml`` writes it.

    Raises:
        UsageError: The file cannot be read, is no YAML mapping, or its recipe is not valid.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The recipe {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The recipe {path} is not UTF-8 text.") from error
    content = _read_yaml(text, str(path))
    if content is None:
        raise UsageError(f"The recipe {path} is empty; write at least a line 'base: <name of a published model>'.")
    if not isinstance(content, dict):
        raise UsageError(f"The recipe {path} is not a mapping of keys to values.")
    return _from_mapping(content, f"{path}: ")


def dump_yaml(recipe: Recipe) -> str:
    """The whole recipe as YAML, which ``load_yaml`` reads back unchanged."""
    return yaml.dump(recipe.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def to_json(recipe: Recipe) -> str:
    """The whole recipe as JSON, for the metadata of a checkpoint."""
    return recipe.model_dump_json()


def from_json(text: str) -> Recipe:
    """Reads what ``to_json`` wrote.

    Raises:
        UsageError: The text is no JSON object, or its recipe is not valid.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The stored recipe is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise UsageError("The stored recipe is not a JSON object.")
    return _from_mapping(content, "The stored recipe: ")


class _Dumper(yaml.SafeDumper):
    """Writes mappings as blocks, lists in one line, and quotes text with line separators, which PyYAML would fold."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)
_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)


def _read_yaml(text: str, origin: str) -> Any:
    """What plain YAML says; a tag that names a Python object is an error, nothing is ever executed."""
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{origin}{line}: this is not plain YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{origin}: this is not plain YAML: {' '.join(str(error).split())}.") from error


def _from_mapping(content: dict[Any, Any], where: str) -> Recipe:
    """A recipe from a mapping with ``base`` and overrides, or with everything; ``where`` heads the messages."""
    if "base" in content:
        overrides = {key: value for key, value in content.items() if key != "base"}
        name = content["base"]
        if not isinstance(name, str):
            raise UsageError(f"{where}base should be the name of a published model, not {short_repr(name)}.")
        try:
            base = recipes.get(name)
        except UsageError as error:
            raise UsageError(f"{where}base: {error}") from error
        return _validated(type(base), base.model_dump(), overrides, where)
    task = content.get("task")
    if not isinstance(task, str) or task not in _CLASS_OF:
        given = "there is neither base nor task" if task is None else f"there is no task {short_repr(task)}"
        raise UsageError(f"{where}{given}; name a published model as base, or a task of {', '.join(_CLASS_OF)}.")
    return _validated(_CLASS_OF[task], {}, content, where)


def _validated(cls: RecipeClass, values: dict[str, Any], overrides: Mapping[Any, Any], where: str) -> Recipe:
    """Puts ``overrides`` into the nested ``values`` and validates them as ``cls``."""
    keys = _keys(cls)
    for key, value in _flat(overrides, keys):
        if key not in keys:
            nearest = get_close_matches(key, keys, n=1, cutoff=0.0)[0]
            raise UsageError(f"{where}There is no key {key!r}; the nearest is {nearest!r}.")
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            if not isinstance(place.get(parent), dict):
                place[parent] = {}
            place = place[parent]
        # Named conventions are spelt out, so that later keys can change one of their fields.
        named = last == "conventions" and isinstance(value, str) and value in NAMED
        place[last] = NAMED[value].model_dump() if named else value
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise UsageError(where + _sentence(error, keys)) from error


def _flat(overrides: Mapping[Any, Any], keys: tuple[str, ...], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; goes into the mappings that stand for keys below, not into values that are mappings."""
    for key, value in overrides.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and any(known.startswith(f"{dotted}.") for known in keys):
            yield from _flat(value, keys, f"{dotted}.")
        else:
            yield dotted, value


@cache
def _keys(cls: type[BaseModel]) -> tuple[str, ...]:
    """Every dotted key of a schema class, the ones that stand for a whole part included."""
    found = []
    for name, field in cls.model_fields.items():
        found.append(name)
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found += [f"{name}.{key}" for key in _keys(part)]
    return tuple(found)


def _sentence(error: ValidationError, keys: tuple[str, ...]) -> str:
    """The first thing that the schema refuses, in a sentence."""
    problems = error.errors(include_url=False)
    first_key = _key_of(problems[0]["loc"], keys)
    problems = [problem for problem in problems if _key_of(problem["loc"], keys) == first_key]
    # A union reports each of its members: the one that got deepest into the value says most, or one that understood it
    # and still refused; equals are listed.
    first = max(problems, key=lambda problem: (len(problem["loc"]), problem["type"] == "value_error"))
    label = _label(first["loc"], keys)
    if first["type"] == "missing":
        return f"{label} is missing."
    if first["type"] == "value_error":
        return f"{label}: {first['ctx']['error']}." if label else f"{first['ctx']['error']}."
    same = [problem for problem in problems if _label(problem["loc"], keys) == label]
    expected = " or ".join(dict.fromkeys(_expected(problem["type"], problem["msg"]) for problem in same))
    return f"{label} should {expected}, not {short_repr(first['input'])}."


def _expected(kind: str, message: str) -> str:
    """What follows "should" in pydantic's message, in the words of a recipe's author."""
    match kind:
        case "model_type":
            return "be a mapping of keys to values"
        case "tuple_type":
            return "be a list"
        case _:
            return message.partition(" should ")[2].partition(", unable")[0].partition(" after validation")[0]


def _key_of(location: tuple[int | str, ...], keys: tuple[str, ...]) -> str:
    """The longest known key at the head of an error's location, which also holds indices and members of unions."""
    key = ""
    for part in location:
        longer = f"{key}.{part}" if key else str(part)
        if longer not in keys:
            break
        key = longer
    return key


def _label(location: tuple[int | str, ...], keys: tuple[str, ...]) -> str:
    """The key with the indices behind it, as ``input.mean[2]``."""
    return _key_of(location, keys) + "".join(f"[{part}]" for part in location if isinstance(part, int))
