"""Leaves of nested containers."""

from collections.abc import Iterator
from typing import Any


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested containers."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from flat(item, f"{prefix}.{key}")
    else:
        yield prefix, value
