"""Checkpoint files: container formats, wrappers, damage, and pickles that contain code."""

import codecs
import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from helpers.foreign_classes import CfgNode
from helpers.training_tools import contents, tools
from splitnest.errors import DamagedError, WeightsError
from splitnest.weights.checksum import add_checksum
from splitnest.weights.read import read, read_recipe_json

Save = Callable[[Any, Path], None]

CONTAINERS: dict[str, Save] = {
    "zip": torch.save,
    "legacy": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
}
ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.fortran": np.asfortranarray(np.arange(12, dtype=np.float64).reshape(3, 4)),
    "a.half": np.array([0.5, -2], np.float16),
    "a.big_endian": np.array([1, 2, 3], ">i4"),
    "a.flags": np.array([True, False]),
    "a.num_batches_tracked": np.array(7, np.int64),
    "a.scalar": np.float32(1.5),
    "a.empty": np.zeros((0, 4), np.float32),
}


@pytest.fixture(params=CONTAINERS)
def save(request: pytest.FixtureRequest) -> Save:
    return CONTAINERS[request.param]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"  # only the content counts, so it has no suffix


def state() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(6.0).view(2, 3), "a.num_batches_tracked": torch.tensor(7)}


def check_state(actual: dict[str, torch.Tensor]) -> None:
    assert list(actual) == list(state())
    assert all(torch.equal(actual[key], tensor) for key, tensor in state().items())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n  <html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"epoch,loss\n1,0.5\n", "is not a checkpoint"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        (b"\x1f\x8b" + bytes(50), "compressed archive"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX file"),
        (b'<?xml version="1.0"?>\n<net name="a">', "program of OpenVINO"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is not a checkpoint"),
        (b"PK\x03\x04" + bytes(200), "damaged or incomplete"),
        (struct.pack("<Q", 50) + b"{" + bytes(5), "damaged or incomplete"),
        (b"\x80\x04\x95", "damaged or incomplete"),
        (b"cos", "damaged or incomplete"),
    ],
)
def test_other_file_is_an_error(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["absent", "folder"])
def test_missing_file_is_an_error(tmp_path: Path, kind: str) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read(tmp_path / "absent" if kind == "absent" else tmp_path)


@pytest.mark.parametrize("content", [{}, [], 3, {"meta": {"epoch": 3}}, {"state_dict": {}}, {"state_dict": {"a": 1}}])
def test_file_without_tensors_is_an_error(path: Path, save: Save, content: object) -> None:
    save(content, path)
    with pytest.raises(WeightsError, match="no named tensors"):
        read(path)
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match="no named tensors"):
        read(path)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "blobs"])
def test_wrapped_state_dict(path: Path, save: Save, wrapper: str | None) -> None:
    save({wrapper: state(), "iteration": 3, "optimizer": {"state": {0: torch.ones(9)}}} if wrapper else state(), path)
    checkpoint = read(path)
    assert checkpoint.kind == "torch"
    assert checkpoint.recipe_json is None
    check_state(checkpoint.state)


@pytest.mark.parametrize("entry", ["state_dict_ema", "model_ema"])
def test_moving_average_of_timm_is_taken(
    path: Path, save: Save, entry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    average = {key: tensor + 1 for key, tensor in state().items()}
    save({"state_dict": state(), entry: average, "epoch": 3}, path)
    assert read(path).state["a.weight"].tolist() == average["a.weight"].tolist()
    note = capsys.readouterr().err
    assert f"{entry} is loaded, the exponential moving average" in note
    assert f"{path}#state_dict" in note
    check_state(read(f"{path}#state_dict").state)
    assert read(f"{path}#{entry}").state["a.weight"].tolist() == average["a.weight"].tolist()
    assert not capsys.readouterr().err  # who chooses needs no note
    save({entry: average}, path)
    assert read(path).state["a.weight"].tolist() == average["a.weight"].tolist()
    save({"state_dict": state(), entry: None}, path)
    check_state(read(path).state)
    assert not capsys.readouterr().err


def test_moving_average_of_mmengine_is_its_state_dict(path: Path, save: Save) -> None:
    """Its hook swaps the two before it saves."""
    save({"state_dict": state(), "ema_state_dict": {key: tensor + 1 for key, tensor in state().items()}}, path)
    check_state(read(path).state)


def test_entries_can_be_chosen(path: Path, save: Save) -> None:
    save({"generator": state(), "other": {}, "epoch": 3}, path)
    check_state(read(f"{path}#generator").state)
    with pytest.raises(WeightsError, match=r"no entry 'absent'\. Its entries are generator, other"):
        read(f"{path}#absent")
    with_sign = path.with_name("a#b.pth")
    save(state(), with_sign)
    check_state(read(with_sign).state)


@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_other_entries_are_named(path: Path, save: Save) -> None:
    save({**state(), "epoch": 3, "sparse": torch.eye(2).to_sparse()}, path)
    checkpoint = read(path)
    check_state(checkpoint.state)
    assert checkpoint.not_tensors == ("epoch", "sparse")


def test_safetensors(path: Path) -> None:
    save_file(state(), path, {"format": "pt"})
    checkpoint = read(path)
    assert (checkpoint.kind, checkpoint.recipe_json) == ("safetensors", None)
    assert {key: tensor.tolist() for key, tensor in checkpoint.state.items()} == {
        key: tensor.tolist() for key, tensor in state().items()
    }
    save_file(state(), path, {"format": "splitnest", "recipe": "{}"})
    assert read(path).recipe_json == "{}"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        read(path)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("container", [*CONTAINERS, "pickle"])
def test_truncated_file_is_an_error(path: Path, container: str, fraction: float) -> None:
    if container == "pickle":
        path.write_bytes(pickle.dumps({"model": ARRAYS}))
    else:
        CONTAINERS[container]({"state_dict": {"a": torch.ones(5000)}}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(20, int(fraction * len(whole)))])
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        read(path)


# OpenMMLab


@pytest.mark.parametrize(
    "meta",
    [
        {"CLASSES": ("cat", "dog"), "mmdet_version": "2.4.0", "hook_msgs": {"best": np.float64(0.5)}},
        {"dataset_meta": {"classes": ["cat", "dog"], "palette": [(1, 2, 3)]}, "epoch": 12, "iter": np.int64(3)},
    ],
)
def test_class_names(path: Path, save: Save, meta: dict[str, Any]) -> None:
    save({"meta": meta, "state_dict": OrderedDict(state())}, path)
    checkpoint = read(path)
    assert checkpoint.classes == ("cat", "dog")
    check_state(checkpoint.state)


@pytest.mark.parametrize(
    "meta", [None, {}, {"CLASSES": None}, {"CLASSES": "cat"}, {"dataset_meta": {"classes": [1, 2]}}]
)
def test_without_class_names(path: Path, save: Save, meta: object) -> None:
    save({"meta": meta, "state_dict": state()}, path)
    assert read(path).classes is None


with tools():
    KINDS = list(contents())


@pytest.mark.parametrize("container", [*CONTAINERS, "protocol 4", "pickle"])
@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_training_tools(path: Path, kind: str, container: str) -> None:
    """Tensors are read whatever else is in a file, and nothing of it is called."""
    weights: dict[str, Any] = {key: tensor.numpy() for key, tensor in state().items()}
    with tools():
        other = contents()[kind]
        if container != "pickle":
            content = {"meta": {"seed": 0, "extra": other}, "state_dict": OrderedDict(state()), "more": other}
            (CONTAINERS.get(container) or partial(torch.save, pickle_protocol=4))(content, path)
        elif kind in ("random states", "state of a generator", "sparse tensor"):
            return  # have tensors, which only torch files can have
        else:
            path.write_bytes(pickle.dumps({"model": weights, "extra": other}))
    check_state(read(path).state)


def test_methods_of_the_log_of_mmengine(path: Path, save: Save) -> None:
    """They are pickled as ``getattr(HistoryBuffer, "min")``; ``getattr`` of other objects stays refused."""
    with tools():
        save({"message_hub": contents()["message hub"], "state_dict": state()}, path)
    assert b"getattr" in path.read_bytes()
    check_state(read(path).state)


def test_class_names_in_a_configuration(path: Path, save: Save) -> None:
    with tools():
        meta = {"dataset_meta": CfgNode({"CLASSES": ("cat", "dog")})}
        save({"meta": meta, "state_dict": state()}, path)
    assert read(path).classes == ("cat", "dog")


def test_numpy_arrays_in_a_torch_file(path: Path, save: Save) -> None:
    save({"model": ARRAYS}, path)
    check_arrays(read(path).state)


# pickles of arrays


def check_arrays(actual: dict[str, torch.Tensor]) -> None:
    assert list(actual) == list(ARRAYS)
    for key, array in ARRAYS.items():
        expected = torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
        assert actual[key].dtype == expected.dtype, key
        assert torch.equal(actual[key], expected), key


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


# checksums of our checkpoints


def test_checkpoint_with_a_checksum(path: Path) -> None:
    with path.open("w+b") as file:
        torch.save({"format": "splitnest", "state_dict": state()}, file)
        add_checksum(file)
    check_state(read(path).state)
    whole = path.read_bytes()
    for place in (len(whole) // 3, len(whole) - 40, len(whole) - 75):  # in the data, the hash, and the text before it
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedError, match="SHA-256 checksum does not match"):
            read(path)
        with pytest.raises(DamagedError):
            read_recipe_json(path)
    path.write_bytes(whole[:-30])
    with pytest.raises(WeightsError):
        read(path)
    torch.save({"format": "splitnest", "state_dict": state()}, path)  # written anew by its user
    check_state(read(path).state)
