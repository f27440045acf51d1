"""Overrides of a recipe: ``key=value`` on the command line, mappings in Python, and keys of a YAML file with a base.

A key is dotted (``input.short_side``); a mapping stands for the keys below it, so ``{"input": {"short_side": 600}}`` is
the same override. Every error is a ``UsageError`` that names the key and what was expected.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from reprlib import repr as short_repr
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from splitnest.errors import UsageError
from splitnest.recipe.aliases import known_as
from splitnest.recipe.conventions import NAMED
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.recipe.same_network import is_same_network
from splitnest.recipe.schema import Recipe, RecipeClass
from splitnest.recipe.training import Training

MAX_KEY_LENGTH = 200
"""Length to which an unknown key is shown, and compared with the known ones."""


class _Union(NamedTuple):
    """Section whose class is selected by a discriminator key."""

    discriminator: str
    members: tuple[type[BaseModel], ...]


def apply(recipe: Recipe, overrides: Mapping[str, Any], where: str = "") -> Recipe:
    """Return a recipe with some of its values replaced.

    The published weights and metrics are dropped where classes, network or name change.

    Args:
        recipe: Base recipe.
        overrides: Dotted keys -> values. A mapping changes only the keys that it holds.
        where: Beginning of error messages.

    Raises:
        UsageError: A key is unknown, a value has the wrong type or range, or values contradict each other.
    """
    cls = type(recipe)
    changes = dict(_expanded(cls, overrides, where))
    values = recipe.model_dump()
    _select_members(cls, values, changes)
    _replace_alternatives(values, changes, where)
    _replace_file(values, changes)
    changed = _validated(cls, values, changes, where)
    if changed.name == recipe.name and is_same_network(recipe, changed):
        return changed
    stale: dict[str, Any] = {"weights": None, "published": {}}
    stale = {key: value for key, value in stale.items() if not _mentions(changes, key)}
    return changed.model_copy(update=stale)


def build(cls: RecipeClass, content: Mapping[Any, Any], where: str = "") -> Recipe:
    """Return the recipe of a complete mapping.

    Raises:
        UsageError: Same conditions as ``apply``; or a key is missing.
    """
    return _validated(cls, {}, dict(_expanded(cls, content, where)), where)


def check_distinct(cls: RecipeClass, content: Mapping[Any, Any], where: str = "") -> None:
    """Raise a UsageError for a key that a file has twice: as a dotted key and inside a mapping."""
    seen: set[str] = set()
    for key, _ in _flat(content, known_keys(cls)):
        if key in seen:
            raise UsageError(f"{where}{key} is given twice, once with a dotted key. Remove one of them.")
        seen.add(key)


def parse(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse overrides of the command line.

    Args:
        assignments: Texts like ``data.root=/data/coco`` or ``data.classes=[cat, dog]``. Values are YAML; the last value
            of a key counts.

    Raises:
        UsageError: A text is not of the form ``key=value``, or its value is not YAML.
    """
    overrides = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            example = f"{text}=VALUE" if re.fullmatch(r"[a-z_0-9.]+", text) else "input.short_side=600"
            example = f"data.root={text}" if os.path.exists(text) else example
            raise UsageError(f"{text!r} is not an override. Write key=value without blanks, for example {example}.")
        overrides[key.strip()] = read_yaml(value, f"The value of {key.strip()}")
    return overrides


def _expanded(cls: RecipeClass, overrides: Mapping[Any, Any], where: str) -> Iterator[tuple[str, Any]]:
    """Yield checked dotted keys and values; the name of a member of a union becomes its discriminator."""
    keys, unions = known_keys(cls), _unions(cls)
    for key, value in _flat(overrides, keys):
        if key not in keys:
            raise UsageError(f"{where}There is no key {key[:MAX_KEY_LENGTH]!r}; {_suggestion(key, keys)}")
        if key in unions and isinstance(value, str):
            yield f"{key}.{unions[key].discriminator}", value
        else:
            yield key, value


def _select_members(cls: RecipeClass, values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Drop the values of a union's section that belong to another member than the one that ``changes`` select."""
    for key, union in _unions(cls).items():
        chosen = changes.get(f"{key}.{union.discriminator}")
        section = _section(values, key)
        if chosen is None or section is None or section.get(union.discriminator) == chosen:
            continue
        common = set.intersection(*(set(member.model_fields) for member in union.members))
        kept = {name: value for name, value in section.items() if name in common}
        section.clear()
        section.update(kept)


def _replace_alternatives(values: dict[str, Any], changes: Mapping[str, Any], where: str) -> None:
    """Reset the base's value of a key where ``changes`` set its alternative, and what is counted in its unit."""
    train = values.get("train")
    if not isinstance(train, dict):
        return
    for pair in Training.exclusive:
        for key, alternative in (pair, pair[::-1]):
            if changes.get(f"train.{key}") and not changes.get(f"train.{alternative}"):
                switched = bool(train.get(alternative))
                train[alternative] = Training.model_fields[alternative].default
                if switched and key in ("epochs", "iterations"):
                    _reset_unit(train, changes, alternative, where)


def _replace_file(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Drop hash and mirrors of the base's file where ``changes`` set the URL of another one."""
    weights = _section(values, "weights")
    if weights is not None and changes.get("weights.url", weights.get("url")) != weights.get("url"):
        weights.clear()


def _reset_unit(train: dict[str, Any], changes: Mapping[str, Any], old_unit: str, where: str) -> None:
    """Reset the intervals of the base, which count in the unit of its length; its milestones must be given anew."""
    train["evaluate_every"] = train["save_every"] = 0
    milestones = (train.get("schedule") or {}).get("milestones")
    if milestones and not _mentions(changes, "train.schedule"):
        raise UsageError(
            f"{where}train.schedule.milestones {list(milestones)} of the base are {old_unit}, and the length of the "
            f"training is no longer in {old_unit}. Set train.schedule too, for example train.schedule=cosine."
        )


def _mentions(changes: Mapping[str, Any], key: str) -> bool:
    return any(changed == key or changed.startswith(f"{key}.") for changed in changes)


def _section(values: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """Return the nested mapping under a dotted key; None if there is none."""
    section: Any = values
    for part in key.split("."):
        section = section.get(part) if isinstance(section, Mapping) else None
    return section if isinstance(section, dict) else None


def _validated(cls: RecipeClass, values: dict[str, Any], changes: Mapping[str, Any], where: str) -> Recipe:
    """Set ``changes`` in the nested ``values`` and validate them as ``cls``."""
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = values
        for parent in parents:
            if not isinstance(section.get(parent), dict):
                section[parent] = {}
            section = section[parent]
        # Named conventions are spelled out, so that later keys can change one of their fields.
        named = last == "conventions" and isinstance(value, str) and value in NAMED
        section[last] = NAMED[value].model_dump() if named else value
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise UsageError(where + _sentence(error, values, cls)) from error


def _flat(overrides: Mapping[Any, Any], keys: tuple[str, ...], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; mappings are entered where the schema has keys below, not where they are values."""
    for key, value in overrides.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and any(known.startswith(f"{dotted}.") for known in keys):
            yield from _flat(value, keys, f"{dotted}.")
        else:
            yield dotted, value


@cache
def known_keys(cls: type[BaseModel]) -> tuple[str, ...]:
    """Return every dotted key of a schema class, those of whole sections included."""
    keys: dict[str, None] = {}
    for name, field in cls.model_fields.items():
        keys[name] = None
        for part in _sections(field.annotation):
            keys |= dict.fromkeys(f"{name}.{key}" for key in known_keys(part))
    return tuple(keys)


@cache
def _unions(cls: type[BaseModel]) -> dict[str, _Union]:
    """Return the dotted keys of all sections that are discriminated unions."""
    unions = {}
    for name, field in cls.model_fields.items():
        members = tuple(_sections(field.annotation))
        if isinstance(field.discriminator, str):
            unions[name] = _Union(field.discriminator, members)
        for member in members:
            unions |= {f"{name}.{key}": union for key, union in _unions(member).items()}
    return unions


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part


def _suggestion(key: str, keys: tuple[str, ...]) -> str:
    return f"use {' or '.join(known_as(key, keys) or get_close_matches(key[:MAX_KEY_LENGTH], keys, n=1, cutoff=0.0))}."


def _sentence(error: ValidationError, values: Mapping[str, Any], cls: RecipeClass) -> str:
    """Return the first problem of a validation error as a sentence."""
    keys = known_keys(cls)
    problems = error.errors(include_url=False)
    first_key = _key_of(problems[0]["loc"], keys)
    problems = [problem for problem in problems if _key_of(problem["loc"], keys) == first_key]
    # A union of value types reports each member: the problem deepest in the value says most, or one that understood it
    # and still refused; equal ones are listed.
    first = max(problems, key=lambda problem: (len(problem["loc"]), problem["type"] == "value_error"))
    label = _label(first["loc"], keys)
    match first["type"]:
        case "missing":
            return f"{label} is missing."
        case "value_error":
            return f"{label}: {first['ctx']['error']}." if label else f"{first['ctx']['error']}."
        case "extra_forbidden":
            return _unused_key(label, values, cls)
        case "union_tag_invalid":
            discriminator, tags = first["ctx"]["discriminator"].strip("'"), first["ctx"]["expected_tags"]
            return f"{label}.{discriminator} should be one of {tags}, not {first['ctx']['tag']!r}."
        case "union_tag_not_found":
            discriminator = first["ctx"]["discriminator"].strip("'")
            return f"{label}.{discriminator} is missing."
    same = [problem for problem in problems if _label(problem["loc"], keys) == label]
    expected = " or ".join(dict.fromkeys(_expected(problem["type"], problem["msg"]) for problem in same))
    return f"{label} should {expected}, not {short_repr(first['input'])}."


def _unused_key(label: str, values: Mapping[str, Any], cls: RecipeClass) -> str:
    """Say which choice makes a key of another member of a union unused."""
    section = label.rpartition(".")[0]
    union = _unions(cls).get(section)
    if union is None:
        return f"There is no key {label!r}."
    chosen = (_section(values, section) or {}).get(union.discriminator)
    return f"{label} has no effect with {section}.{union.discriminator} {chosen}. Remove it."


def _expected(kind: str, message: str) -> str:
    """Return the part of pydantic's message after "should"."""
    match kind:
        case "model_type" | "model_attributes_type" | "dict_type":
            return "be a mapping of keys to values"
        case "tuple_type":
            return "be a list"
        case _:
            return message.partition(" should ")[2].partition(", unable")[0].partition(" after validation")[0]


def _key_of(location: tuple[int | str, ...], keys: tuple[str, ...]) -> str:
    """Return the dotted key of an error's location, which also holds indices and names of union members."""
    key = ""
    for part in location:
        longer = f"{key}.{part}" if key else str(part)
        if longer in keys:
            key = longer
    return key


def _label(location: tuple[int | str, ...], keys: tuple[str, ...]) -> str:
    """Return the key with indices, such as ``input.mean[2]``, and the key inside an item: ``train.augment[0].p``."""
    label = _key_of(location, keys)
    for index, part in enumerate(location):
        if isinstance(part, int):
            _, *inner = location[index + 1 :] or ("",)  # first the name of the union's member
            label += f"[{part}]" + "".join(f".{key}" for key in inner[:1] if isinstance(key, str))
    return label
