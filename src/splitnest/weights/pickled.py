"""Pickles of arrays, read without running anything that they ask for.

A pickle names functions and classes, calls them, and sets the state of what they return. Here every allowed name is
answered by a stand-in that only remembers what it was given; numpy itself sees nothing of the file but a plain type
code, a shape and a buffer. Our stand-ins are classes with ``__setstate__``: the unpickler then has no other way to
write to them, or to the classes themselves.
"""

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

_TYPE_CODE = re.compile(r"[<>|=]?([biuf])([1248])")


class ForbiddenName(pickle.UnpicklingError):
    """A pickle asks for a function or class that has no stand-in. Its one argument is the dotted name."""


class Ignored:
    """An object of no interest, such as a training log: made, filled and forgotten."""

    __slots__ = ()

    def __init__(self, *args: object, **values: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class Latin1:
    """Stands in for ``_codecs.encode`` and ``bytes``, which make bytes, and no bytes, in old protocols of Python 3.

    Returns the text itself, as Python 2 would have written it: ``Array`` takes both, and a copy less is held.
    """

    def __new__(cls, text: str = "", encoding: str = "latin1") -> str:  # type: ignore[misc]
        """Return ``text``."""
        if encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"text in the encoding {encoding!r}")
        return text

    def __setstate__(self, state: object) -> None:
        pass


class DType:
    """Stands in for ``numpy.dtype``: a type code with its byte order."""

    __slots__ = ("code", "order")
    code: str
    order: str

    def __init__(self, code: str = "", *flags: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def resolved(self) -> np.dtype[Any] | None:
        """The numpy type; None for anything but booleans, integers and floats of 1 to 8 bytes."""
        match = _TYPE_CODE.fullmatch(self.code)
        if match is None:
            return None
        return np.dtype("".join(match.groups())).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]


class Array:
    """Stands in for ``numpy.ndarray`` and the functions that make one, for all pickle protocols.

    Its data stays as it came, bytes or the latin-1 text of old protocols, until ``tensor`` is called.
    """

    __slots__ = ("dtype", "fortran", "raw", "shape")
    dtype: DType
    fortran: bool
    raw: bytes | str
    shape: tuple[int, ...]

    def __init__(self, *args: object) -> None:
        self.shape, self.dtype, self.fortran, self.raw = (), DType(), False, b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.shape, self.dtype, self.fortran, self.raw = state[-4:]  # a version comes first, except in the oldest

    def tensor(self) -> Tensor | None:
        """The array as a tensor with its own memory; None for an array of objects or text.

        Raises:
            ValueError: Its data does not fill its shape.
        """
        dtype = self.dtype.resolved()
        if dtype is None:
            return None
        raw = self.raw.encode("latin1") if isinstance(self.raw, str) else self.raw
        values = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))  # astype copies
        return torch.from_numpy(values.reshape(self.shape, order="F" if self.fortran else "C"))


class Scalar(Array):
    """Stands in for ``numpy.core.multiarray.scalar``."""

    __slots__ = ()

    def __init__(self, dtype: DType, raw: bytes | str = b"") -> None:
        self.shape, self.dtype, self.fortran, self.raw = (), dtype, False, raw


class Buffer(Array):
    """Stands in for ``numpy.core.numeric._frombuffer``, which protocol 5 uses."""

    __slots__ = ()

    def __init__(self, raw: bytes, dtype: DType, shape: tuple[int, ...], order: str) -> None:
        self.shape, self.dtype, self.fortran, self.raw = shape, dtype, order == "F", raw


STAND_INS: Mapping[str, type] = MappingProxyType(
    {
        "collections.OrderedDict": OrderedDict,
        "_codecs.encode": Latin1,
        "builtins.bytes": Latin1,
        "__builtin__.bytes": Latin1,
        "numpy.ndarray": Array,
        "numpy.dtype": DType,
        **{
            f"numpy.{core}.{name}": stand_in
            for core in ("core", "_core")  # numpy 1 and numpy 2
            for name, stand_in in {
                "multiarray._reconstruct": Array,
                "multiarray.scalar": Scalar,
                "numeric._frombuffer": Buffer,
            }.items()
        },
    }
)
"""Every name that a pickle may ask for, and what stands in for it."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        try:
            return STAND_INS[f"{module}.{name}"]
        except KeyError:
            raise ForbiddenName(f"{module}.{name}") from None


def load(file: BinaryIO) -> Any:
    """Return what ``file`` holds, of plain Python types, ``OrderedDict`` and ``Array``.

    Text and bytes that Python 2 wrote are read as latin-1, the way numpy arrays of that time have to be.

    Raises:
        ForbiddenName: It asks for anything else. Nothing was run.
        Exception: It is damaged; the unpickler then raises nearly anything.
    """
    return _Unpickler(file, encoding="latin1").load()
