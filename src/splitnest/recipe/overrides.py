"""Overrides of a recipe: ``key=value`` on the command line, mappings in Python, and keys of a YAML file with a base.

A key is dotted (``input.short_side``); a mapping stands for the keys below it, so ``{"input": {"short_side": 600}}`` is
the same override. Every error is a ``UsageError`` that names the key and what was expected.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from reprlib import repr as short_repr
from typing import Any

from pydantic import ValidationError

from splitnest.errors import UsageError
from splitnest.recipe.aliases import known_as
from splitnest.recipe.conventions import NAMED
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.recipe.same_network import is_same_network
from splitnest.recipe.schema import Recipe, RecipeClass
from splitnest.recipe.training import Training
from splitnest.recipe.unions import known_keys, section, select_members, unions

MAX_KEY_LENGTH = 200
"""Length to which an unknown key is shown, and compared with the known ones."""


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
    select_members(cls, values, changes)
    if recipe.train is not None:
        _replace_alternatives(type(recipe.train), values["train"], changes, where)
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
    keys, of_cls = known_keys(cls), unions(cls)
    for key, value in _flat(overrides, keys):
        if key not in keys:
            raise UsageError(f"{where}There is no key {key[:MAX_KEY_LENGTH]!r}; {_suggestion(key, keys)}")
        discriminator = of_cls[key].discriminator if key in of_cls else None
        if discriminator is not None and isinstance(value, str):
            yield f"{key}.{discriminator}", value
        else:
            yield key, value


def _replace_alternatives(cls: type[Training], train: dict[str, Any], changes: Mapping[str, Any], where: str) -> None:
    """Reset the base's value of a key where ``changes`` set its alternative, and what is counted in its unit."""
    for pair in cls.exclusive:
        for key, alternative in (pair, pair[::-1]):
            if changes.get(f"train.{key}") and not changes.get(f"train.{alternative}"):
                switched = bool(train.get(alternative))
                train[alternative] = cls.model_fields[alternative].default
                if switched and key in ("epochs", "iterations"):
                    _reset_unit(train, changes, alternative, where)


def _replace_file(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Drop hash and mirrors of the base's file where ``changes`` set the URL of another one."""
    weights = section(values, "weights")
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


def _validated(cls: RecipeClass, values: dict[str, Any], changes: Mapping[str, Any], where: str) -> Recipe:
    """Set ``changes`` in the nested ``values`` and validate them as ``cls``."""
    for key, value in changes.items():
        *parents, last = key.split(".")
        owner = values
        for parent in parents:
            if not isinstance(owner.get(parent), dict):
                owner[parent] = {}
            owner = owner[parent]
        if value == {} and _is_section(key, known_keys(cls)):
            if owner.get(last) is None and key not in unions(cls):
                owner[last] = {}  # an optional section with its defaults
            continue
        # Named conventions are spelled out, so that later keys can change one of their fields.
        named = last == "conventions" and isinstance(value, str) and value in NAMED
        owner[last] = NAMED[value].model_dump() if named else value
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise UsageError(where + _sentence(error, values, cls)) from error


def _flat(overrides: Mapping[Any, Any], keys: tuple[str, ...], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; mappings are entered where the schema has keys below, not where they are values."""
    for key, value in overrides.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and _is_section(dotted, keys):
            yield from _flat(value, keys, f"{dotted}.")
        else:
            yield dotted, value


def _is_section(key: str, keys: tuple[str, ...]) -> bool:
    """Return whether there are keys below a key."""
    return any(known.startswith(f"{key}.") for known in keys)


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
    owner = label.rpartition(".")[0]
    union = unions(cls).get(owner)
    if union is None or label not in known_keys(cls):
        return f"There is no key {label!r}."
    key, chosen = union.choice(section(values, owner) or {})
    if key:
        return f"{label} has no effect with {owner}.{key} {chosen}. Remove it."
    name = label.rpartition(".")[2]
    pairs = zip(union.keys, union.members[1:], strict=True) if union.keys else ()
    deciding = [f"{owner}.{key}" for key, member in pairs if name in member.model_fields]
    return f"{label} has an effect with {' or '.join(deciding)} only. Remove it."


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
