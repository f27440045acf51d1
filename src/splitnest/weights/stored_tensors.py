"""Stand-ins for the dense tensors of torch files, their storages, and the functions that rebuild them."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, UntypedStorage

from splitnest.weights.stand_ins import StandIn


@dataclass
class Storage(StandIn):
    """Storage of a file.

    Attributes:
        dtype: Type of its elements.
        size: Size in bytes.
        read: Function that reads it.
        loaded: Content, once it was read.
    """

    dtype: torch.dtype
    size: int
    read: Callable[[int], UntypedStorage]
    loaded: UntypedStorage | None = field(default=None, repr=False)

    def content(self) -> UntypedStorage:
        """Return the content, which is read once."""
        if self.loaded is None:
            self.loaded = self.read(self.size)
        return self.loaded


class StoredTensor(StandIn):
    """Stand-in for a dense tensor, and for the functions that rebuild one."""

    __slots__ = ("dtype", "offset", "shape", "storage", "strides")

    def __init__(self, storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> None:
        if not isinstance(storage, Storage):
            raise pickle.UnpicklingError("a tensor without a storage")
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides
        self.dtype = storage.dtype

    def tensor(self, shape_only: bool = False) -> Tensor:
        """Return the tensor; tensors of one storage share its memory. ``shape_only`` gives one on the meta device.

        Raises:
            UnpicklingError: The tensor is larger than its storage.
            Exception: The storage is damaged.
        """
        # ``set_`` enlarges a storage that is too small.
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        is_outside = 0 not in self.shape and (last + 1) * self.dtype.itemsize > self.storage.size
        if is_outside or min((self.offset, *self.shape, *self.strides)) < 0:
            raise pickle.UnpicklingError("a tensor is larger than its storage")
        if shape_only:
            return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="meta")
        content = self.storage.content()
        return torch.empty(0, dtype=self.dtype).set_(content, self.offset, self.shape, self.strides)


class TypedTensor(StoredTensor):
    """Stand-in for ``_rebuild_tensor_v3``, which names the type of the elements."""

    __slots__ = ()

    def __init__(self, storage: Any, offset: int, shape: Any, strides: Any, *options: Any) -> None:
        super().__init__(storage, offset, shape, strides)
        _, _, dtype, *_ = options  # behind requires_grad and hooks
        named = getattr(torch, dtype.name.removeprefix("torch."), None)
        if not isinstance(named, torch.dtype):
            raise pickle.UnpicklingError("a tensor of unknown type")
        self.dtype = named


class Wrapped:
    """Stand-in for functions that wrap a tensor, such as ``torch._utils._rebuild_parameter``."""

    def __new__(cls, tensor: object, *args: object) -> object:  # type: ignore[misc]
        """Return the tensor."""
        return tensor


class Subclass:
    """Stand-in for ``torch._tensor._rebuild_from_type_v2``: a tensor of a subclass, or with attributes."""

    def __new__(cls, rebuild: type, *args: Any) -> object:  # type: ignore[misc]
        """Return the plain tensor."""
        return rebuild(*args[1])
