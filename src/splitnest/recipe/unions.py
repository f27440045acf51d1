"""Keys of the schema, and its unions: sections whose class follows from one of their keys."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Discriminator


class SectionUnion(NamedTuple):
    """Section whose class follows from a key: the value of a discriminator, or which of several keys is present.

    Attributes:
        discriminator: Key whose value decides; None if presence decides.
        keys: Keys whose presence decides: the first required key of each class but the first, which has none of them.
        members: Classes.
    """

    discriminator: str | None
    keys: tuple[str, ...]
    members: tuple[type[BaseModel], ...]

    def choice(self, values: Mapping[str, Any]) -> tuple[str, Any]:
        """Return the key that decides and its value; an empty key and None for the first class."""
        if self.discriminator is not None:
            return self.discriminator, values.get(self.discriminator)
        return next(((key, values[key]) for key in self.keys if values.get(key) is not None), ("", None))


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
            found[name] = SectionUnion(field.discriminator, (), members)
        elif any(isinstance(part, Discriminator) for part in field.metadata):
            found[name] = SectionUnion(None, tuple(_first_required(member) for member in members[1:]), members)
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

    A key whose presence decides is absent if it is null, and is then dropped from ``changes`` too.
    """
    for key, union in unions(cls).items():
        old = section(values, key)
        deciding = (union.discriminator,) if union.discriminator is not None else union.keys
        given = {name: changes[f"{key}.{name}"] for name in deciding if f"{key}.{name}" in changes}
        if old is None or not given:
            continue
        before, after = union.choice(old), union.choice(given)
        if union.discriminator is None:
            for name in [name for name, value in given.items() if value is None]:
                del changes[f"{key}.{name}"]
            is_same = before[0] == after[0]
        else:
            is_same = after[1] in (None, before[1])
        if is_same:
            continue
        members = union.members
        if union.discriminator is None:
            members = tuple(members[union.keys.index(name) + 1 if name else 0] for name, _ in (before, after))
        common = set.intersection(*(set(member.model_fields) for member in members))
        kept = {name: value for name, value in old.items() if name in common}
        old.clear()
        old.update(kept)


def _first_required(cls: type[BaseModel]) -> str:
    return next(name for name, field in cls.model_fields.items() if field.is_required())


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the schema classes of an annotation: itself, or the members of a union."""
    for part in (annotation, *get_args(annotation)):
        bare = get_args(part)[0] if get_origin(part) is Annotated else part
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            yield bare
