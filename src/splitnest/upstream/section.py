"""Section of an upstream configuration: every key is read, or refused by name."""

import math
from collections.abc import Mapping
from reprlib import Repr
from typing import Any

from splitnest.errors import UsageError

_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 60


class _Required:
    """Type of ``REQUIRED``."""


REQUIRED: Any = _Required()
"""Default of a key that has none."""


def shown(value: Any) -> str:
    """Return a value for a message, shortened."""
    return _REPR.repr(value)


class Section:
    """Mapping of a configuration. Reading a key marks it, and ``close`` refuses unread keys.

    A key whose value is None counts as absent, as it does upstream.

    Attributes:
        where: Origin and dotted key, for messages.
        path: Dotted key.
    """

    def __init__(self, values: Mapping[Any, Any], origin: str, path: str = "") -> None:
        self._values = {str(key): value for key, value in values.items()}
        self._origin = origin
        self._read: set[str] = set()
        self.path = path

    @property
    def where(self) -> str:
        """Origin and dotted key, for messages."""
        return f"{self._origin}: {self.path}" if self.path else self._origin

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def has(self, key: str) -> bool:
        """Return whether a key is given, even as None."""
        return key in self._values

    def error(self, key: str, problem: str) -> UsageError:
        """Return the error of a key whose value splitnest cannot represent."""
        return UsageError(f"{self._origin}: {self._dotted(key)} is {shown(self._values.get(key))}: {problem}.")

    def raw(self, key: str, default: Any = None) -> Any:
        """Return a value of any type."""
        self._read.add(key)
        value = self._values.get(key)
        if value is not None:
            return value
        if default is REQUIRED:
            raise UsageError(f"{self._origin}: there is no {self._dotted(key)}. Give a complete configuration.")
        return default

    def text(self, key: str, default: Any = REQUIRED) -> Any:
        """Return a text, or the default."""
        value = self.raw(key, default)
        if value is not default and not isinstance(value, str):
            raise self.error(key, "give a text")
        return value

    def flag(self, key: str, default: Any = REQUIRED) -> Any:
        """Return True or False, or the default."""
        value = self.raw(key, default)
        if value is not default and not isinstance(value, bool):
            raise self.error(key, "give True or False")
        return value

    def integer(self, key: str, default: Any = REQUIRED) -> Any:
        """Return an integer, or the default."""
        value = self.raw(key, default)
        if value is not default and not _is_integer(value):
            raise self.error(key, "give an integer")
        return value if value is default else int(value)

    def number(self, key: str, default: Any = REQUIRED) -> Any:
        """Return a number as a float, or the default."""
        value = self.raw(key, default)
        if value is default:
            return value
        if not _is_number(value):
            raise self.error(key, "give a number")
        return float(value)

    def integers(self, key: str, default: Any = REQUIRED, length: int | None = None) -> Any:
        """Return a tuple of integers, or the default."""
        value = self._several(key, default, length)
        if value is not default and not all(map(_is_integer, value)):
            raise self.error(key, "give integers")
        return value if value is default else tuple(map(int, value))

    def numbers(self, key: str, default: Any = REQUIRED, length: int | None = None) -> Any:
        """Return a tuple of floats, or the default."""
        value = self._several(key, default, length)
        if value is not default and not all(map(_is_number, value)):
            raise self.error(key, "give numbers")
        return value if value is default else tuple(map(float, value))

    def flags(self, key: str, default: Any = REQUIRED, length: int | None = None) -> Any:
        """Return a tuple of True and False, or the default."""
        value = self._several(key, default, length)
        if value is not default and not all(isinstance(item, bool) for item in value):
            raise self.error(key, "give True and False")
        return value

    def texts(self, key: str, default: Any = REQUIRED) -> Any:
        """Return a tuple of texts, or the default."""
        value = self._several(key, default, None)
        if value is not default and not all(isinstance(item, str) for item in value):
            raise self.error(key, "give texts")
        return value

    def only(self, key: str, *allowed: Any, problem: str = "") -> Any:
        """Return a value that must be one of those that splitnest has; the first is the default."""
        value = _as_tuple(self.raw(key, allowed[0]))
        if not any(type(value) is type(one) and value == one for one in map(_as_tuple, allowed)) and not (
            _is_number(value) and any(_is_number(one) and value == one for one in allowed)
        ):
            raise self.error(key, problem or f"splitnest has only {' or '.join(map(shown, allowed))}")
        return value

    def skip(self, *keys: str) -> None:
        """Mark keys that do not change a result."""
        self._read.update(keys)

    def section(self, key: str, default: Any = REQUIRED) -> Any:
        """Return a mapping as a section; the default is the mapping of an absent one, or None."""
        value = self.raw(key, default)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.error(key, "give a mapping")
        return Section(value, self._origin, self._dotted(key))

    def sections(self, key: str) -> "list[Section]":
        """Return a list of mappings as sections; a single mapping is a list of one, and an absent key an empty list."""
        value = self.raw(key, ())
        value = [value] if isinstance(value, Mapping) else value
        if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
            raise self.error(key, "give a list of mappings")
        return [Section(item, self._origin, f"{self._dotted(key)}[{i}]") for i, item in enumerate(value)]

    def is_list(self, key: str) -> bool:
        """Return whether a key has a list."""
        return isinstance(self._values.get(key), list | tuple)

    def close(self) -> None:
        """Raise a UsageError if a key was not read."""
        for key, value in self._values.items():
            if key not in self._read and value is not None:
                raise self.error(key, "splitnest does not know this setting, which may change the results")

    def _several(self, key: str, default: Any, length: int | None) -> Any:
        value = self.raw(key, default)
        if value is default:
            return value
        if not isinstance(value, list | tuple) or (length is not None and len(value) != length):
            raise self.error(key, f"give a list of {length} values" if length else "give a list")
        return tuple(value)

    def _dotted(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def _is_integer(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
