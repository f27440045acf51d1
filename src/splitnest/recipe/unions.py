"""Keys of the schema, and its unions: sections whose class follows from one of their keys."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

PRESENT_KEY = "timm"
"""Key whose presence decides the class of a section of a union without a discriminator field."""


class SectionUnion(NamedTuple):
    """Section whose class follows from a discriminator key.

    Attributes:
        discriminator: Key whose value, or whose presence, decides.
        by_presence: Whether the presence of the key decides.
        members: Classes.
    """

    discriminator: str
    by_presence: bool
    members: tuple[type[BaseModel], ...]


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
def unions(cls: type[BaseModel]) -> dict[str, SectionUnion]:
    """Return the dotted keys of all sections that are discriminated unions."""
    found = {}
    for name, field in cls.model_fields.items():
        members = tuple(_sections(field.annotation))
        if isinstance(field.discriminator, str):
            found[name] = SectionUnion(field.discriminator, False, members)
        elif len(members) > 1 and any(PRESENT_KEY in member.model_fields for member in members):
            found[name] = SectionUnion(PRESENT_KEY, True, members)
        for member in members:
            found |= {f"{name}.{key}": union for key, union in unions(member).items()}
    return found


def section(values: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """Return the nested mapping under a dotted key; None if there is none."""
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else None


def select_members(cls: type[BaseModel], values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Drop the values of a union's section that belong to another member than the one that ``changes`` select.

    A discriminator whose presence decides is absent if it is null, and is then dropped from ``changes`` too.
    """
    for key, union in unions(cls).items():
        discriminator = f"{key}.{union.discriminator}"
        old = section(values, key)
        if discriminator not in changes or old is None:
            continue
        chosen, present = changes[discriminator], old.get(union.discriminator)
        if union.by_presence and chosen is None:
            del changes[discriminator]
        same = (chosen is None) == (present is None) if union.by_presence else chosen in (None, present)
        if same:
            continue
        common = set.intersection(*(set(member.model_fields) for member in union.members))
        kept = {name: value for name, value in old.items() if name in common}
        old.clear()
        old.update(kept)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the schema classes of an annotation: itself, or the members of a union."""
    for part in (annotation, *get_args(annotation)):
        bare = get_args(part)[0] if get_origin(part) is Annotated else part
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            yield bare
