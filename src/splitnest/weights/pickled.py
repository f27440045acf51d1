"""Safe unpickling of numpy arrays: no function or class that a pickle names is called.

A pickle names functions and classes, calls them, and sets the state of the results. Here every allowed name resolves to
a stand-in that only stores its arguments, and numpy receives nothing but a type code, a shape and a buffer. Stand-ins
define ``__setstate__``, so the unpickler cannot write to their attributes or classes directly.
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
    """Function or class in a pickle that is not allowed. The argument is its dotted name."""


class Ignored:
    """Stand-in for objects that are not needed, such as training logs; it stores nothing."""

    __slots__ = ()

    def __init__(self, *args: object, **values: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class Latin1:
    """Stand-in for ``_codecs.encode`` and ``bytes``, which create bytes in pickle protocols 0 to 2 of Python 3.

    It returns the latin-1 text unchanged, which avoids a copy: ``Array`` accepts text and bytes.
    """

    def __new__(cls, text: str = "", encoding: str = "latin1") -> str:  # type: ignore[misc]
        """Return the text.

        Raises:
            UnpicklingError: The encoding is not latin-1.
        """
        if encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"unsupported text encoding {encoding!r}")
        return text

    def __setstate__(self, state: object) -> None:
        pass


class DType:
    """Stand-in for ``numpy.dtype``: a type code and its byte order."""

    __slots__ = ("code", "order")
    code: str
    order: str

    def __init__(self, code: str = "", *flags: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def resolved(self) -> np.dtype[Any] | None:
        """Return the numpy dtype; None for types other than booleans, integers and floats of 1 to 8 bytes."""
        match = _TYPE_CODE.fullmatch(self.code)
        if match is None:
            return None
        return np.dtype("".join(match.groups())).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]


class Array:
    """Stand-in for ``numpy.ndarray`` and its constructors in all pickle protocols.

    The data is stored as bytes, or as latin-1 text of old protocols, until ``tensor`` is called.
    """

    __slots__ = ("dtype", "fortran", "raw", "shape")
    dtype: DType
    fortran: bool
    raw: bytes | str
    shape: tuple[int, ...]

    def __init__(self, *args: object) -> None:
        self.shape, self.dtype, self.fortran, self.raw = (), DType(), False, b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # All formats but the oldest start with a version.
        self.shape, self.dtype, self.fortran, self.raw = state[-4:]

    def tensor(self) -> Tensor | None:
        """Return the array as a tensor that owns its memory; None for an array of objects or text.

        Raises:
            ValueError: The size of the data does not match the shape.
        """
        dtype = self.dtype.resolved()
        if dtype is None:
            return None
        raw = self.raw.encode("latin1") if isinstance(self.raw, str) else self.raw
        values = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))  # astype copies
        return torch.from_numpy(values.reshape(self.shape, order="F" if self.fortran else "C"))


class Scalar(Array):
    """Stand-in for ``numpy.core.multiarray.scalar``."""

    __slots__ = ()

    def __init__(self, dtype: DType, raw: bytes | str = b"") -> None:
        self.shape, self.dtype, self.fortran, self.raw = (), dtype, False, raw


class Buffer(Array):
    """Stand-in for ``numpy.core.numeric._frombuffer`` of pickle protocol 5."""

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
"""Allowed names in a pickle -> their stand-ins."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        try:
            return STAND_INS[f"{module}.{name}"]
        except KeyError:
            raise ForbiddenName(f"{module}.{name}") from None


def load(file: BinaryIO) -> Any:
    """Unpickle plain Python types, ``OrderedDict`` and arrays.

    Strings of Python 2 are decoded as latin-1, which its numpy arrays require.

    Args:
        file: Pickle file.

    Returns:
        Content of the file, with an ``Array`` for each numpy array.

    Raises:
        ForbiddenName: The pickle names another function or class. No code was executed.
        Exception: The file is damaged; the unpickler then raises almost any exception.
    """
    return _Unpickler(file, encoding="latin1").load()
