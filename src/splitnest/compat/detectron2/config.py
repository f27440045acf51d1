"""Configurations of detectron2: ``get_cfg`` and nodes with attributes, as yacs has them."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

import yaml

from splitnest.errors import UsageError
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.upstream.detectron2 import decoded
from splitnest.upstream.files import read_file

DEFAULTS = Path(__file__).with_name("defaults.yaml")
"""detectron2's defaults, with those of ResNeSt's wrapper."""


class CfgNode(dict[str, Any]):
    """Section of a configuration, whose keys are attributes too."""

    def __init__(self, init_dict: Mapping[str, Any] | None = None) -> None:
        super().__init__({key: _node(value) for key, value in (init_dict or {}).items()})
        self.__dict__["_frozen"] = False

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, key: str, value: Any) -> None:
        if self.is_frozen():
            raise AttributeError(f"{key} cannot be set: the configuration is frozen. Call defrost() first.")
        super().__setitem__(key, _node(value))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = type(self)({key: copy.deepcopy(value, memo) for key, value in self.items()})
        new._set_frozen(self.is_frozen())
        return new

    def clone(self) -> Self:
        """Return a copy that shares nothing with the configuration."""
        return copy.deepcopy(self)

    def freeze(self) -> None:
        """Make assignments an error."""
        self._set_frozen(True)

    def defrost(self) -> None:
        """Allow assignments."""
        self._set_frozen(False)

    def is_frozen(self) -> bool:
        """Return whether assignments are an error."""
        return bool(self.__dict__.get("_frozen"))  # absent while a pickle is loaded

    def _set_frozen(self, is_frozen: bool) -> None:
        self.__dict__["_frozen"] = is_frozen
        for value in self.values():
            if isinstance(value, CfgNode):
                value._set_frozen(is_frozen)

    def merge_from_file(self, cfg_filename: str | Path, allow_unsafe: bool = False) -> None:
        """Override values by those of a YAML file and of the files that it inherits from.

        Args:
            cfg_filename: Path of the file.
            allow_unsafe: Without effect: tags that run code are refused.

        Raises:
            UsageError: The file cannot be read, or has a key that detectron2 does not have.
        """
        self._merge(decoded(read_file(Path(cfg_filename))), str(cfg_filename))

    def merge_from_other_cfg(self, cfg_other: Mapping[str, Any]) -> None:
        """Override values by those of another configuration.

        Raises:
            UsageError: A key of the other configuration does not exist in this one.
        """
        self._merge(cfg_other, "the other configuration")

    def merge_from_list(self, cfg_list: Sequence[Any]) -> None:
        """Override values by a list of dotted keys, each followed by its value; texts are decoded.

        Raises:
            UsageError: A key has no value, or does not exist.
        """
        if len(cfg_list) % 2:
            raise UsageError(f"The list has {len(cfg_list)} entries. Give each key with its value.")
        for key, value in zip(cfg_list[::2], cfg_list[1::2], strict=True):
            if isinstance(value, str) and value in ("True", "False", "None"):
                value = {"True": True, "False": False, "None": None}[value]
            nested: Any = decoded(value)
            for name in reversed(str(key).split(".")):
                nested = {name: nested}
            self._merge(nested, "the list")

    def _merge(self, values: Mapping[str, Any], origin: str, path: str = "") -> None:
        for key, value in values.items():
            dotted = f"{path}{key}"
            if key not in self:
                raise UsageError(f"{origin}: there is no key {dotted} in configurations of detectron2. Remove it.")
            if not isinstance(self[key], CfgNode):
                self[key] = value
            elif isinstance(value, Mapping):
                self[key]._merge(value, origin, f"{dotted}.")
            else:
                raise UsageError(f"{origin}: {dotted} is a section, but the value is {value!r:.60}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the values in plain mappings."""
        return {key: value.to_dict() if isinstance(value, CfgNode) else value for key, value in self.items()}

    def dump(self) -> str:
        """Return the configuration as YAML."""
        return yaml.safe_dump(_listed(self.to_dict()), sort_keys=True)


def _node(value: Any) -> Any:
    return CfgNode(value) if isinstance(value, Mapping) and not isinstance(value, CfgNode) else value


def _listed(value: Any) -> Any:
    """Return values with lists in place of tuples, for which plain YAML has no form."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


@cache
def _defaults() -> dict[str, Any]:
    values: dict[str, Any] = decoded(read_yaml(DEFAULTS.read_text(encoding="utf-8"), str(DEFAULTS)))
    return values


def get_cfg() -> CfgNode:
    """Return a configuration with detectron2's defaults."""
    return CfgNode(copy.deepcopy(_defaults()))
