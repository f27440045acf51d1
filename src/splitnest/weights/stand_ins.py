"""Stand-ins for the classes and functions that a pickle names: they at most store their arguments.

Arrays keep type, shape and data. Everything else that training tools write (log buffers, configurations, random states,
enum members, paths) is inert.
"""

import pickle
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

_TYPE_CODE = re.compile(r"[<>|=]?([biuf])([1248])")


class ForbiddenName(pickle.UnpicklingError):
    """Function or class in a pickle that is not allowed. The argument is its dotted name."""


class StandIn:
    """Base class of stand-ins: whatever a pickle does to an object is ignored."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Ignore an item."""

    def extend(self, items: object) -> None:
        """Ignore items."""

    def add(self, item: object) -> None:
        """Ignore an item."""

    def update(self, *items: object) -> None:
        """Ignore items."""

    def __setitem__(self, key: object, value: object) -> None:
        pass


class Ignored(StandIn):
    """Stand-in for objects that are not needed, such as sparse tensors; it stores nothing."""

    __slots__ = ()

    def __new__(cls, *args: object, **values: object) -> "Ignored":
        """Return the object, whatever the arguments are."""
        return super().__new__(cls)

    def __init__(self, *args: object, **values: object) -> None:
        pass


class Items(dict[Any, Any]):
    """Stand-in for ``collections.OrderedDict``: a dictionary, to which a pickle can add items only."""

    def __init__(self, pairs: Any = ()) -> None:
        super().__init__((as_key(key), value) for key, value in pairs)

    def __setstate__(self, state: object) -> None:
        pass


class Unknown(Items):
    """Base class of stand-ins for other classes and functions; subclasses of ``dict`` keep their items.

    Attributes:
        name: Dotted name of the class or function.
    """

    name = ""

    def __new__(cls, *args: object, **values: object) -> "Unknown":
        """Return the object, whatever the arguments are."""
        return super().__new__(cls)

    def __init__(self, *args: object, **values: object) -> None:
        pass

    __hash__ = object.__hash__  # type: ignore[assignment]
    append = extend = add = StandIn.append

    def update(self, *items: object, **values: object) -> None:
        """Ignore items of a set."""


class Attribute:
    """Stand-in for ``getattr``, which pickles use for methods of a class and members of an enumeration."""

    def __new__(cls, owner: object, name: object, *default: object) -> type:  # type: ignore[misc]
        """Return the stand-in of the owner's class for any attribute.

        Raises:
            ForbiddenName: The owner is not a stand-in, or the attribute is a special one.
        """
        kind = owner if isinstance(owner, type) else type(owner)
        if not (issubclass(kind, StandIn | Items) and isinstance(name, str)) or name.startswith("__"):
            raise ForbiddenName("builtins.getattr")
        return kind if issubclass(kind, Unknown) else Ignored


class OtherKey:
    """Key of a dictionary that is neither text nor a number."""

    def __init__(self, key: object) -> None:
        self.kind = type(key).__name__

    def __repr__(self) -> str:
        return f"<{self.kind}>"


def as_key(key: object) -> object:
    """Return a key of a dictionary that can be hashed quickly: nested tuples may be exponentially large."""
    if key is None or isinstance(key, str | bytes | int | float | type | OtherKey):
        return key
    if isinstance(key, tuple) and all(isinstance(part, str | int | float | None) for part in key):
        return key
    return OtherKey(key)


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


class DType(StandIn):
    """Stand-in for ``numpy.dtype``: a type code and its byte order."""

    __slots__ = ("code", "order")
    code: str
    order: str

    def __init__(self, code: str = "", *flags: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def resolved(self) -> np.dtype[Any] | None:
        """Return the numpy dtype; None for types other than booleans, integers and floats of 1 to 8 bytes."""
        match = _TYPE_CODE.fullmatch(self.code)
        if match is None:
            return None
        return np.dtype("".join(match.groups())).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]


class Array(StandIn):
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

    def __setstate__(self, state: Any) -> None:
        # All formats but the oldest start with a version.
        self.shape, self.dtype, self.fortran, self.raw = state[-4:]

    def tensor(self, shape_only: bool = False) -> Tensor | None:
        """Return the array as a tensor that owns its memory; None for an array of objects or text.

        ``shape_only`` gives a tensor on the meta device.

        Raises:
            ValueError: The size of the data does not match the shape.
        """
        dtype = self.dtype.resolved()
        if dtype is None:
            return None
        if shape_only:
            of_torch = torch.from_numpy(np.empty(0, dtype.newbyteorder("="))).dtype
            return torch.empty(self.shape, dtype=of_torch, device="meta")
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
        "collections.OrderedDict": Items,
        "_codecs.encode": Latin1,
        "builtins.bytes": Latin1,
        "builtins.getattr": Attribute,
        "_io.BytesIO": Ignored,
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
"""Names in a pickle -> their stand-ins; other names get a subclass of ``Unknown`` each."""
