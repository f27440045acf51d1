"""Pickles: arrays in them, and code in them."""

import codecs
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.checkpoint_files import ARRAYS, CONTAINERS, Save, check_arrays
from splitnest.errors import WeightsError
from splitnest.weights.read import read


def test_numpy_arrays_in_a_torch_file(path: Path, save: Save) -> None:
    save({"model": ARRAYS}, path)
    check_arrays(read(path).state)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrapper", [None, "model", "blobs"])
def test_pickle(path: Path, protocol: int, wrapper: str | None) -> None:
    content = {wrapper: ARRAYS, "__author__": "Detectron2 Model Zoo"} if wrapper else ARRAYS
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    checkpoint = read(path)
    assert checkpoint.kind == "pickle"
    check_arrays(checkpoint.state)


def test_tensors_of_a_pickle_own_their_memory(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": np.ones(4, np.int8)}))
    read(path).state["a"].zero_()
    assert read(path).state["a"].tolist() == [1, 1, 1, 1]


def test_pickle_of_python_2(path: Path) -> None:
    """Byte strings and old names of numpy, which Python 3 cannot write."""
    data = np.array([1.0, -2.5], "<f4").tobytes()
    path.write_bytes(
        b"\x80\x02}U\x08a.weightcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + (b"U" + bytes([len(data)]) + data)
        + b"tbs."
    )
    assert read(path).state["a.weight"].tolist() == [1.0, -2.5]


@pytest.mark.parametrize(
    "array",
    [np.array([{}, None], object), np.array(["a"]), np.zeros(2, [("x", "f4")]), np.zeros(1, np.complex64)],
    ids=["objects", "text", "records", "complex"],
)
def test_arrays_without_a_tensor_type_are_named(path: Path, array: np.ndarray) -> None:
    path.write_bytes(pickle.dumps({"a": np.ones(1), "b": array}))
    assert read(path).not_tensors == ("b",)


def test_array_with_too_little_data_is_an_error(path: Path) -> None:
    content = pickle.dumps({"a": np.ones(7, np.int8)}, protocol=4)
    path.write_bytes(content.replace(b"K\x07\x85", b"K\x09\x85"))
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        read(path)


# pickles that contain code


class Call:
    """Object that is pickled as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize(
    "harm",
    [
        lambda trace: Call(open, str(trace), "w"),
        lambda trace: Call(os.system, f"touch {trace}"),
        lambda trace: Call(os.mkdir, str(trace)),
        lambda trace: Call(exec, f"open({str(trace)!r}, 'w')"),
        lambda trace: Call(getattr, Call(__import__, "os"), "system"),
        lambda trace: Call(np.load, str(trace)),
        lambda trace: Call(codecs.decode, b"1", "hex"),
        lambda trace: Call(torch.load, str(trace)),
        lambda trace: torch.nn.Linear(1, 1),
    ],
    ids=["open", "system", "mkdir", "exec", "getattr", "numpy.load", "codecs", "torch.load", "whole network"],
)
@pytest.mark.parametrize("container", [*CONTAINERS, *map(str, range(pickle.HIGHEST_PROTOCOL + 1))])
def test_code_is_not_executed(tmp_path: Path, path: Path, container: str, harm: Callable[[Path], Any]) -> None:
    trace = tmp_path / "trace"
    content = {"state_dict": {"a": torch.ones(1) if container in CONTAINERS else np.ones(1), "b": harm(trace)}}
    if container in CONTAINERS:
        CONTAINERS[container](content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=int(container)))
    with pytest.raises(WeightsError, match=r"contains code: it refers to .+\. No code was executed"):
        read(path)
    assert not trace.exists()


class Opcodes(io.BytesIO):
    """Pickle that is written opcode by opcode."""

    def named(self, name: str) -> "Opcodes":
        self.write(b"c" + name.replace(" ", "\n").encode() + b"\n")
        return self


@pytest.mark.parametrize("name", ["numpy ndarray", "numpy dtype", "_codecs encode", "collections OrderedDict"])
def test_stand_ins_cannot_be_changed(path: Path, name: str) -> None:
    """BUILD on a class, with a state for ``__dict__`` or for slots, would set attributes of the class."""
    for state in (b"}U\x06tensorK\x01s", b"N}U\x06tensorK\x01s\x86"):
        pickled = Opcodes(b"\x80\x02")
        pickled.seek(0, io.SEEK_END)
        pickled.named(name).write(state + b"b.")
        path.write_bytes(pickled.getvalue())
        with pytest.raises(WeightsError):
            read(path)
    path.write_bytes(pickle.dumps({"model": ARRAYS}))
    check_arrays(read(path).state)


def test_numpy_never_receives_the_state_of_a_pickle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ``__setstate__`` trusts flags that a file could set."""
    content = pickle.dumps({"a": np.ones(2, "V8")}, protocol=2).replace(b"X\x02\x00\x00\x00V8", b"X\x02\x00\x00\x00O8")
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="no named tensors"):
        read(path)
