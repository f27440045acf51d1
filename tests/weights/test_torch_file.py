"""Torch files of odd content: archives of another kind, bombs, odd tensors, and pickles that would take for ever."""

import io
import pickle
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splitnest.errors import WeightsError
from splitnest.weights.read import read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def repacked(content: object, path: Path, change: Callable[[str, bytes], bytes], packing: int) -> None:
    """Write a torch file whose members are changed and packed anew."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", packing) as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))


def test_tensors_equal_those_of_torch(path: Path) -> None:
    """Types, strides, offsets, shared storages, parameters and subclasses, in both formats."""
    base = torch.arange(24.0)
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    parameter.note = "an attribute"  # type: ignore[attr-defined]
    tensors = {
        "view": base.view(4, 6)[1:3, ::2],
        "transposed": base.view(4, 6).t(),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(3),
        "expanded": torch.ones(1).expand(5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "attributes": parameter,
        **{str(dtype): torch.ones(3, dtype=dtype) for dtype in (torch.half, torch.bfloat16, torch.bool, torch.int8)},
        **{str(dtype): torch.ones(3, dtype=dtype) for dtype in (torch.complex64, torch.float64, torch.int16)},
    }
    for is_zip in (True, False):
        torch.save(tensors, path, _use_new_zipfile_serialization=is_zip)
        state = read(path).state
        assert list(state) == list(tensors)
        for key, tensor in tensors.items():
            assert torch.equal(state[key], tensor), key
            assert (state[key].dtype, state[key].stride()) == (tensor.dtype, tensor.stride()), key
        assert state["view"].untyped_storage().data_ptr() == state["transposed"].untyped_storage().data_ptr()
    torch.save({"float8": torch.ones(4).to(torch.float8_e4m3fn), "uint16": torch.ones(2, dtype=torch.uint16)}, path)
    assert {str(tensor.dtype) for tensor in read(path).state.values()} == {"torch.float8_e4m3fn", "torch.uint16"}


def test_big_endian_file(path: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if name.endswith("byteorder"):
            return b"big"
        return np.frombuffer(data, "<f4").byteswap().tobytes() if "/data/" in name else data

    repacked({"a": torch.arange(3.0)}, path, change, zipfile.ZIP_STORED)
    assert read(path).state["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tensors_in_a_plain_pickle(path: Path, protocol: int) -> None:
    base = torch.arange(6.0)
    tensors = {"a": base.view(2, 3), "b": torch.nn.Parameter(base[2:]), "c": torch.tensor(7), "d": torch.ones(2).half()}
    path.write_bytes(pickle.dumps({"model": tensors}, protocol=protocol))
    state = read(path).state
    assert list(state) == list(tensors)
    assert all(torch.equal(state[key], tensor) for key, tensor in tensors.items())


@pytest.mark.filterwarnings("ignore")
def test_other_tensors_are_named(path: Path) -> None:
    others = {
        "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "jagged": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        "quantized": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "meta": torch.ones(2, device="meta"),
        "sparse": torch.eye(2).to_sparse(),
        "csr": torch.eye(2).to_sparse_csr(),
    }
    torch.save({"state_dict": {"a": torch.ones(1), **others}}, path)
    checkpoint = read(path)
    assert (list(checkpoint.state), checkpoint.not_tensors) == (["a"], tuple(others))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m/archive_format", "program of torch.export"),
        ("serialized_exported_program.json", "program of torch.export"),
        ("m/constants.pkl", "TorchScript program"),
        ("arr_0.npy", "numpy arrays"),
        ("model/weights.bin", "zip archive"),
    ],
)
def test_other_archives(path: Path, name: str, words: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(WeightsError, match=words):
        read(path)


def test_compressed_archive(path: Path) -> None:
    """Weights that hardly get smaller are read. A bomb is refused before it is unpacked."""
    weights = torch.randn(1000)
    repacked({"a": weights}, path, lambda _, data: data, zipfile.ZIP_DEFLATED)
    assert torch.equal(read(path).state["a"], weights)
    repacked(
        {"a": weights}, path, lambda name, data: bytes(300_000_000) if "/data/" in name else data, zipfile.ZIP_DEFLATED
    )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=r"would unpack to 300\.0 MB"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - after < 50_000


def test_member_that_is_listed_many_times(path: Path) -> None:
    """Members that overlap in the file unpack to more than the file."""
    torch.save({"a": torch.ones(2_000_000)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        (member,) = [info for info in archive.infolist() if "/data/" in info.filename]
        archive.filelist.extend([member] * 20)
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(WeightsError, match="would unpack"):
        read(path)


@pytest.mark.parametrize(
    "change", [(b"K\x05\x85", b"K\x06\x85"), (b"K\x01\x85", b"K\x7f\x85")], ids=["shape", "stride"]
)
def test_tensor_larger_than_its_storage(path: Path, change: tuple[bytes, bytes]) -> None:
    """``Tensor.set_`` would enlarge the storage."""
    repacked({"a": torch.ones(5)}, path, lambda name, data: data.replace(*change), zipfile.ZIP_STORED)
    with pytest.raises(WeightsError, match="larger than its storage"):
        read(path)


def test_changed_weights_are_damage(path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        read(path)


DAG = b")q\x00" + b"h\x00\x86q\x00" * 60
"""Tuple of two equal tuples, of two equal tuples, and so on: quick to build, and without an end to hash."""


FOR_EVER = {
    "items": b"\x80\x02}(" + DAG + b"K\x01u.",
    "item": b"\x80\x02}" + DAG + b"K\x01s.",
    "dict": b"\x80\x02(" + DAG + b"K\x01d.",
    "set": b"\x80\x04\x8f(" + DAG + b"\x90.",
    "frozen set": b"\x80\x04(" + DAG + b"\x91.",
    "set call": b"\x80\x02c__builtin__\nset\n](" + DAG + b"e\x85R.",
    "pairs": b"\x80\x02ccollections\nOrderedDict\n](" + DAG + b"K\x01\x86e\x85R.",
    "deep key": b"\x80\x02}()" + b"\x85" * 50_000 + b"K\x01u.",
    "deep list": b"\x80\x02}(X\x01\x00\x00\x00a" + b"](" * 50_000 + b"N" + b"e" * 50_000 + b"u.",
    "bytearray": b"\x80\x05\x96" + (1 << 60).to_bytes(8, "little") + b"abc.",
    "bytes": b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b"abc.",
    "names": b"\x80\x02" + b"".join(b"cmodule%d\nname\n0" % number for number in range(5000)) + b".",
}
"""Kind of a pickle that would take for ever, crash or ask for much memory -> its content."""


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", FOR_EVER)
def test_pickle_that_would_take_for_ever(path: Path, kind: str) -> None:
    path.write_bytes(FOR_EVER[kind])
    with pytest.raises(WeightsError):
        read(path)


def test_array_that_is_used_many_times(path: Path) -> None:
    """Each array would be a copy of the same data."""
    data = np.ones(1_000_000, np.uint8).tobytes()

    class Reused:
        def __reduce__(self) -> tuple[Any, ...]:
            state = (1, (len(data),), np.dtype("u1"), False, data)
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), state

    path.write_bytes(pickle.dumps({f"k{number}": Reused() for number in range(100)}, protocol=4))
    with pytest.raises(WeightsError, match="larger than the file"):
        read(path)
