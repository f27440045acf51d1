"""Configurations as mmengine has them: mappings with attributes. They are read, never executed."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from splitnest.errors import UsageError
from splitnest.upstream.files import merge, read_file


class ConfigDict(dict[Any, Any]):
    """Mapping whose keys are attributes too, with all mappings inside it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__({key: _nested(value) for key, value in dict(*args, **kwargs).items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, _nested(value))

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)({key: copy.deepcopy(value, memo) for key, value in self.items()})

    def copy(self) -> Self:
        """Return a copy that shares nothing with the configuration."""
        return copy.deepcopy(self)

    def to_dict(self) -> dict[Any, Any]:
        """Return the values in plain mappings."""
        plain: dict[Any, Any] = _plain(self)
        return plain


class Config(ConfigDict):
    """Configuration of OpenMMLab."""

    @classmethod
    def fromfile(cls, filename: str | Path) -> Self:
        """Return the configuration in a file, with those it inherits.

        Raises:
            UsageError: The file cannot be read, or is not a configuration of literals.
        """
        return cls(read_file(Path(filename)))

    def merge_from_dict(self, options: Mapping[str, Any], allow_list_keys: bool = True) -> None:
        """Override values.

        Args:
            options: Values by dotted key, such as ``{"model.test_cfg.rcnn.score_thr": 0.3}``. Mappings are merged.
            allow_list_keys: Whether a number in a key is the index of an item of a list.

        Raises:
            UsageError: A key leads into a value that has no keys, or an index is out of range.
        """
        values = self.to_dict()
        for key, value in options.items():
            values = _with_value(values, str(key).split("."), _plain(value), str(key), allow_list_keys)
        self.clear()
        self.update({key: _nested(value) for key, value in values.items()})


def _nested(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value if isinstance(value, ConfigDict) else ConfigDict(value)
    return type(value)(map(_nested, value)) if type(value) in (list, tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _with_value(values: Any, path: Sequence[str], value: Any, key: str, allow_list_keys: bool) -> Any:
    if not path:
        both = isinstance(values, dict) and isinstance(value, dict)
        return merge(values, value, f"cfg_options: {key}") if both else value
    name, *rest = path
    if isinstance(values, list | tuple) and allow_list_keys and name.isdecimal():
        if int(name) >= len(values):
            raise UsageError(f"cfg_options: {key} has the index {name}, and the list has {len(values)} items.")
        items = list(values)
        items[int(name)] = _with_value(items[int(name)], rest, value, key, allow_list_keys)
        return type(values)(items)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UsageError(f"cfg_options: {key} leads into {values!r:.60}, which has no key {name}.")
    return {**values, name: _with_value(values.get(name), rest, value, key, allow_list_keys)}
