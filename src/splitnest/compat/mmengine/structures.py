"""Results as mmengine has them: named values and metadata of one image, instances, and values of pixels."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor


class BaseDataElement:
    """Named values with metadata. Values are attributes; metadata cannot be changed by assignment.

    Args:
        metainfo: Metadata by name.
        **kwargs: Values by name.
    """

    def __init__(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__setattr__("_metainfo", {})
        super().__setattr__("_data", {})
        self.set_metainfo(metainfo or {})
        self.set_data(kwargs)

    def set_metainfo(self, metainfo: Mapping[str, Any]) -> None:
        """Add metadata, or change it."""
        self._metainfo.update(copy.deepcopy(dict(metainfo)))

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Add values, or change them."""
        for name, value in data.items():
            setattr(self, name, value)

    def set_field(self, value: Any, name: str) -> None:
        """Add a value, or change it."""
        setattr(self, name, value)

    def update(self, instance: "BaseDataElement") -> None:
        """Add values and metadata of another element."""
        self.set_metainfo(instance.metainfo)
        self.set_data(dict(instance.items()))

    def new(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> Self:
        """Return an element of the same type, with these values and metadata in place of the own ones."""
        values = kwargs or dict(self.items())
        return type(self)(metainfo=self.metainfo if metainfo is None else metainfo, **values)

    def clone(self) -> Self:
        """Return a copy that shares nothing with the element."""
        return self._converted(copy.deepcopy)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for values in (self.__dict__.get("_data", {}), self.__dict__.get("_metainfo", {})):
                if name in values:
                    return values[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._metainfo:
            raise AttributeError(f"{name} is metadata, which set_metainfo changes")
        self._data[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._data:
            raise AttributeError(f"{type(self).__name__!r} object has no value {name!r}")
        del self._data[name]

    def __contains__(self, name: str) -> bool:
        return name in self._data or name in self._metainfo

    @property
    def metainfo(self) -> dict[str, Any]:
        """Copy of the metadata."""
        return dict(self._metainfo)

    def keys(self) -> list[str]:
        """Return the names of the values."""
        return list(self._data)

    def metainfo_keys(self) -> list[str]:
        """Return the names of the metadata."""
        return list(self._metainfo)

    def all_keys(self) -> list[str]:
        """Return the names of metadata and values."""
        return [*self._metainfo, *self._data]

    def values(self) -> list[Any]:
        """Return the values."""
        return list(self._data.values())

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield name and value."""
        yield from self._data.items()

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Yield name and value of the metadata."""
        yield from self._metainfo.items()

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Yield name and value of metadata and values."""
        yield from (*self._metainfo.items(), *self._data.items())

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value or metadata, or a default."""
        return getattr(self, key, default)

    def pop(self, *args: Any) -> Any:
        """Remove a value, and return it, or a default."""
        return self._data.pop(*args)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the element with its tensors on another device or of another type."""
        return self._of_tensors(lambda value: value.to(*args, **kwargs))

    def cpu(self) -> Self:
        """Return the element with its tensors on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """Return the element with its tensors on the CUDA device."""
        return self.to("cuda")

    def detach(self) -> Self:
        """Return the element with detached tensors."""
        return self._of_tensors(lambda value: value.detach())

    def numpy(self) -> Self:
        """Return the element with arrays in place of tensors."""
        return self._converted(lambda value: value.detach().cpu().numpy() if isinstance(value, Tensor) else value)

    def to_tensor(self) -> Self:
        """Return the element with tensors in place of arrays."""
        return self._converted(lambda value: torch.from_numpy(value) if isinstance(value, np.ndarray) else value)

    def to_dict(self) -> dict[str, Any]:
        """Return metadata and values as a mapping; elements among them become mappings too."""
        return {
            name: value.to_dict() if isinstance(value, BaseDataElement) else value for name, value in self.all_items()
        }

    def _of_tensors(self, convert: Callable[[Any], Any]) -> Self:
        return self._converted(lambda value: convert(value) if isinstance(value, Tensor) else value)

    def _converted(self, convert: Callable[[Any], Any]) -> Self:
        """Return the element with converted values; elements among them are converted inside."""
        new = type(self)(metainfo=self.metainfo)
        for name, value in self.items():
            is_element = isinstance(value, BaseDataElement)
            setattr(new, name, value._converted(convert) if is_element else convert(value))
        return new

    def __repr__(self) -> str:
        lines = [f"    {name}: {value!r}" for name, value in self.all_items()]
        return "\n".join([f"<{type(self).__name__}(", *(line.replace("\n", "\n    ") for line in lines), ")>"])


class InstanceData(BaseDataElement):
    """Values of N instances, each of length N; indexing selects instances."""

    def __setattr__(self, name: str, value: Any) -> None:
        if self._data.keys() - {name} and len(value) != len(self):
            raise ValueError(f"{name} has {len(value)} entries, and there are {len(self)} instances")
        super().__setattr__(name, value)

    def __len__(self) -> int:
        return next((len(value) for value in self._data.values()), 0)

    def __getitem__(self, item: Any) -> Any:
        """Return a value by its name, or select instances by an index, a slice, a list, or an array or tensor."""
        if isinstance(item, str):
            return getattr(self, item)
        if isinstance(item, int | np.integer):
            if not -len(self) <= item < len(self):
                raise IndexError(f"index {item} is out of range for {len(self)} instances")
            item = slice(item, item + 1 or None)
        new = type(self)(metainfo=self.metainfo)
        for name, value in self.items():
            setattr(new, name, _selected(value, item))
        return new

    @staticmethod
    def cat(instances_list: Sequence["InstanceData"]) -> "InstanceData":
        """Return the instances of several elements, which have the same names, with the metadata of the first."""
        first = instances_list[0]
        new = type(first)(metainfo=first.metainfo)
        for name, value in first.items():
            parts: list[Any] = [getattr(each, name) for each in instances_list]
            if isinstance(value, list | tuple):
                joined: Any = type(value)(item for part in parts for item in part)
            else:
                joined = torch.cat(parts) if isinstance(value, Tensor) else np.concatenate(parts)
            setattr(new, name, joined)
        return new


def _selected(value: Any, item: Any) -> Any:
    if isinstance(value, list | tuple) and not isinstance(item, slice):
        rows = np.arange(len(value))[item.cpu().numpy() if isinstance(item, Tensor) else np.asarray(item)]
        return type(value)(value[int(row)] for row in rows)
    if isinstance(value, np.ndarray) and isinstance(item, Tensor):
        return value[item.cpu().numpy()]
    if isinstance(value, Tensor) and isinstance(item, np.ndarray):
        return value[torch.from_numpy(item).to(value.device)]
    return value[item]


class PixelData(BaseDataElement):
    """Values of pixels, each ``[C, H, W]``, all of one size."""

    def __setattr__(self, name: str, value: Any) -> None:
        value = value[None] if value.ndim == 2 else value
        if value.ndim != 3 or (self._data.keys() - {name} and tuple(value.shape[-2:]) != self.shape):
            raise ValueError(f"{name} has the shape {tuple(value.shape)}, not [C, H, W] of the other values")
        super().__setattr__(name, value)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width; None without values."""
        return next(((value.shape[-2], value.shape[-1]) for value in self._data.values()), None)
