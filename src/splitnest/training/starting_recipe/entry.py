"""Entries of a recipe with comments, and their YAML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from splitnest.recipe.serialization import to_yaml

WIDTH = 100
"""Column after which a comment is written above its entry."""

HEAD_WIDTH = 118
"""Length of the lines of the comment at the beginning."""


@dataclass(frozen=True)
class Entry:
    """Value of a recipe and why it was chosen.

    Attributes:
        key: Dotted key.
        value: Value.
        why: Comment, in one line; an empty string for none.
    """

    key: str
    value: Any
    why: str = ""


def render(entries: Iterable[Entry], head: Sequence[str]) -> str:
    """Return a recipe as YAML with comments.

    Args:
        entries: Entries; those of one section follow each other.
        head: Lines of the comment at the beginning.
    """
    lines = [f"# {part}".rstrip() for line in head for part in wrap(line, HEAD_WIDTH) or [""]]
    section = ""
    for entry in entries:
        *parents, key = entry.key.split(".", 1)
        if parents and parents[0] != section:
            lines.append(f"{parents[0]}:")
        section = parents[0] if parents else ""
        indent = "  " if section else ""
        text = to_yaml({key: _plain(entry.value)}).rstrip("\n").split("\n")
        if not entry.why:
            lines += [indent + line for line in text]
        elif len(text) == 1 and len(indent + text[0]) + len(entry.why) + 4 <= WIDTH:
            lines.append(f"{indent}{text[0]}  # {entry.why}")
        else:
            lines += [f"{indent}# {entry.why}", *(indent + line for line in text)]
    return "\n".join(lines) + "\n"


def values_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return the entries as values by dotted key."""
    return {entry.key: entry.value for entry in entries}


def _plain(value: Any) -> Any:
    """Return a value with lists in place of tuples."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
