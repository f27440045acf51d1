"""Safe unpickling: no function or class that a pickle names is called.

A pickle names functions and classes, calls them, and sets the state of the results. Here every name resolves to a
stand-in. State is given to stand-ins only, so a pickle cannot write to attributes or classes. The names of functions
that run or load something are refused, as no training writes them.
"""

import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, BinaryIO, ClassVar

from splitnest.weights.stand_ins import STAND_INS, ForbiddenName, Ignored, StandIn, Unknown, as_key

_REFUSED_BUILTINS = frozenset(
    {"__build_class__", "__import__", "apply", "breakpoint", "compile", "delattr", "eval", "exec", "execfile", "exit"}
    | {
        "file",
        "filter",
        "globals",
        "help",
        "input",
        "locals",
        "map",
        "open",
        "print",
        "quit",
        "reload",
        "setattr",
        "vars",
    }
)
_REFUSED_MODULES = frozenset(
    {"_io", "_pickle", "_posixsubprocess", "bdb", "codeop", "ctypes", "http", "importlib", "io", "marshal"}
    | {"multiprocessing", "nt", "os", "pdb", "pickle", "pip", "posix", "pty", "pydoc", "requests", "runpy", "shutil"}
    | {"socket", "subprocess", "sys", "tempfile", "threading", "timeit", "urllib", "webbrowser", "zipimport"}
)
"""Modules whose functions run code, or reach files and the network."""

MAX_NAMES = 1000
"""Maximum number of different names in a file."""


class Unpickler(pickle._Unpickler):
    """Unpickler of plain Python types and stand-ins.

    It is the one of Python's library that is written in Python, since its operations can be replaced.

    Args:
        file: Pickle file, or several pickles in a row.
        stand_ins: Names that this kind of file has in addition -> their stand-ins.
        persistent: Function that returns the object of a persistent id; None if there are none.
    """

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(
        self,
        file: BinaryIO,
        stand_ins: Mapping[str, type] = MappingProxyType({}),
        persistent: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__(file, encoding="latin1")  # numpy arrays of Python 2 are byte strings
        self._known = {**STAND_INS, **stand_ins}
        self._persistent = persistent

    def persistent_load(self, pid: Any) -> object:
        """Return the object of a persistent id.

        Raises:
            UnpicklingError: The file has none.
        """
        if self._persistent is None:
            raise pickle.UnpicklingError("unexpected reference to data outside the pickle")
        return self._persistent(pid)

    def find_class(self, module: str, name: str) -> type:
        """Return the stand-in of a name.

        Raises:
            ForbiddenName: The name is refused.
        """
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        dotted = f"{module}.{name}"
        if dotted not in self._known:
            if _is_refused(module, name):
                raise ForbiddenName(dotted)
            if len(self._known) > MAX_NAMES:
                raise pickle.UnpicklingError(f"it names more than {MAX_NAMES} classes")
            self._known[dotted] = type("Unknown", (Unknown,), {"name": dotted})
        return self._known[dotted]

    def _build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], StandIn):
            self.stack[-1].__setstate__(state)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][as_key(key)] = value

    def _set_items(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[as_key(key)] = value

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append({as_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    def _empty_set(self) -> None:
        self.append(Ignored())

    def _frozen_set(self) -> None:
        self.pop_mark()
        self.append(Ignored())

    def _byte_array(self) -> None:
        self.append(self.read(int.from_bytes(self.read(8), "little")))

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.EMPTY_SET[0]] = _empty_set
    dispatch[pickle.FROZENSET[0]] = _frozen_set
    dispatch[pickle.BYTEARRAY8[0]] = _byte_array


def _is_refused(module: str, name: str) -> bool:
    if module == "builtins":
        return name in _REFUSED_BUILTINS
    return module.split(".")[0] in _REFUSED_MODULES
