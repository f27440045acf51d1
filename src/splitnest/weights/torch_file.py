"""Safe reading of the files that ``torch.save`` writes: a zip archive, or the legacy format before torch 1.6.

The pickle of a file refers to storages, which are elsewhere in the file. A storage is read when one of its tensors is
loaded, so what is not needed, such as the state of an optimizer, is not read.
"""

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import UntypedStorage

from splitnest.weights.pickled import Unpickler
from splitnest.weights.stand_ins import Ignored, Unknown
from splitnest.weights.stored_tensors import Storage, StoredTensor, Subclass, TypedTensor, Wrapped

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""Pickled ``torch.serialization.MAGIC_NUMBER``."""

MAX_UNPACKED_RATIO, UNPACKED_SLACK_BYTES = 3, 2**24
"""Maximum size of all members of an archive: ratio times the size of the file, and a slack. Torch does not compress,
and weights hardly can be."""

_DTYPES: Mapping[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
}
"""Class of a storage -> type of its elements."""


class OtherFileError(Exception):
    """File of another kind. The argument says what it is and what to do, after the name of the file."""


class _StorageBytes:
    """Stand-in for ``torch.storage._load_from_bytes``: pickles of tensors have each storage as a legacy file."""

    def __new__(cls, content: bytes | str) -> object:  # type: ignore[misc]
        """Return the storage."""
        return _load_legacy(io.BytesIO(content.encode("latin1") if isinstance(content, str) else content))


_STAND_INS: Mapping[str, type] = {
    "torch._utils._rebuild_tensor": StoredTensor,
    "torch._utils._rebuild_tensor_v2": StoredTensor,
    "torch._utils._rebuild_tensor_v3": TypedTensor,
    "torch.storage._load_from_bytes": _StorageBytes,
    "torch._utils._rebuild_parameter": Wrapped,
    "torch._utils._rebuild_parameter_with_state": Wrapped,
    "torch._utils._rebuild_device_tensor_from_numpy": Wrapped,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": Wrapped,
    "torch._tensor._rebuild_from_type": Subclass,
    "torch._tensor._rebuild_from_type_v2": Subclass,
    **{
        f"torch._utils._rebuild_{kind}": Ignored
        for kind in ("sparse_tensor", "sparse_csr_tensor", "nested_tensor", "qtensor", "meta_tensor_no_storage")
    },
    "torch._utils._rebuild_wrapper_subclass": Ignored,
    "torch.nested._internal.nested_tensor._rebuild_njt": Ignored,
}


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Return the content of a torch file, with a ``StoredTensor`` for each dense tensor, valid inside the context.

    Raises:
        OtherFileError: The archive is not one of ``torch.save``.
        ForbiddenName: The file names a function that runs or loads something. No code was executed.
        Exception: The file is damaged.
    """
    with path.open("rb") as file:
        if file.read(len(LEGACY_MAGIC)) == LEGACY_MAGIC:
            file.seek(0)
            yield _load_legacy(file)
        else:
            with zipfile.ZipFile(file) as archive:
                yield _load_zip(archive, file)


def load_pickle(file: BinaryIO) -> Any:
    """Return the content of a pickle of arrays and tensors, with an ``Array`` or ``StoredTensor`` for each.

    Raises:
        ForbiddenName: The pickle names a function that runs or loads something. No code was executed.
        Exception: The file is damaged; the unpickler then raises almost any exception.
    """
    return Unpickler(file, _STAND_INS).load()


def load(path: Path) -> Any:
    """Return the content of a torch file of tensors and plain containers.

    Raises:
        UnpicklingError: The file has other objects.
        Exception: Same conditions as ``opened``.
    """
    with opened(path) as content:
        return _materialized(content, {})


def _materialized(value: Any, known: dict[int, Any]) -> Any:
    """Return a value with its tensors read; containers that occur several times are converted once."""
    if id(value) not in known:
        if isinstance(value, StoredTensor):
            made: Any = value.tensor()
        elif isinstance(value, dict) and not isinstance(value, Unknown):
            made = {key: _materialized(item, known) for key, item in value.items()}
        elif isinstance(value, list | tuple):
            made = type(value)(_materialized(item, known) for item in value)
        elif isinstance(value, str | bytes | int | float | None):
            made = value
        else:
            raise pickle.UnpicklingError("an object that is neither a tensor nor a plain container")
        known[id(value)] = made
    return known[id(value)]


def _load_zip(archive: zipfile.ZipFile, file: BinaryIO) -> Any:
    members = {info.filename: info for info in archive.infolist()}
    root = _root(members)
    unpacked, packed = sum(info.file_size for info in archive.infolist()), file.seek(0, 2)
    if unpacked > MAX_UNPACKED_RATIO * packed + UNPACKED_SLACK_BYTES:
        raise OtherFileError(
            f"is a compressed archive of {packed / 1e6:,.1f} MB that would unpack to {unpacked / 1e6:,.1f} MB, which "
            f"torch.save does not write. Get the file as its author saved it"
        )
    is_swapped = f"{root}byteorder" in members and archive.read(f"{root}byteorder") == b"big"

    def storage(pid: Any) -> Storage:
        dtype, key, count, _ = _checked(pid, 5)
        info = members[f"{root}data/{key}"]
        size = count * dtype.itemsize
        if size != info.file_size:
            raise pickle.UnpicklingError(f"storage {key} has another size than its tensors")
        read = partial(_read_member, archive, file, info, dtype if is_swapped else None)
        return _only(storages, key, Storage(dtype, size, read))

    storages: dict[str, Storage] = {}
    return Unpickler(io.BytesIO(archive.read(f"{root}data.pkl")), _STAND_INS, storage).load()


def _root(members: Mapping[str, zipfile.ZipInfo]) -> str:
    """Return the folder of an archive.

    Raises:
        OtherFileError: The archive is not one of ``torch.save``.
    """
    root = next(iter(members), "").partition("/")[0] + "/"
    if f"{root}archive_format" in members or "serialized_exported_program.json" in members:
        what = "is a program of torch.export (.pt2), not a checkpoint. Give the checkpoint that it was exported from"
        raise OtherFileError(f"{what}; torch.export.load runs the program")
    if f"{root}constants.pkl" in members:
        what = "is a TorchScript program, not a checkpoint. Load it with torch.jit.load, and save its state_dict()"
        raise OtherFileError(what)
    if any(name.endswith(".npy") for name in members):
        raise OtherFileError("is a file of numpy arrays (.npz). Save the arrays as a safetensors file")
    if f"{root}data.pkl" not in members:
        raise OtherFileError("is a zip archive, not a checkpoint. Unpack it, and give the checkpoint inside")
    return root


def _read_member(
    archive: zipfile.ZipFile, file: BinaryIO, info: zipfile.ZipInfo, swapped: torch.dtype | None, size: int
) -> UntypedStorage:
    """Return a member of an archive, of ``swapped`` values if a big-endian machine wrote it, as a storage."""
    storage = torch.empty(size, dtype=torch.uint8)
    buffer = storage.numpy().data
    if info.compress_type == zipfile.ZIP_STORED:
        file.seek(info.header_offset)
        header = file.read(30)
        file.seek(sum(struct.unpack("<HH", header[26:30])), 1)  # behind name and extra field
        done, crc = _read_into(file, buffer), zlib.crc32(buffer)
        if not header.startswith(b"PK\3\4") or done != size or crc != info.CRC:
            raise zipfile.BadZipFile(f"checksum of {info.filename} does not match")
    else:
        with archive.open(info) as member:
            buffer[:] = member.read(size)
            member.read()  # checks the checksum
    if swapped is not None:
        storage.untyped_storage().byteswap(swapped)
    return storage.untyped_storage()


def _load_legacy(file: BinaryIO) -> Any:
    storages: dict[str, Storage] = {}
    positions: dict[str, int] = {}

    def storage(pid: Any) -> object:
        if isinstance(pid, tuple) and pid[0] == "module":  # class of a module, with its source code
            return pid[1]
        dtype, key, count, view = _checked(pid, 6)
        if view is not None:
            raise pickle.UnpicklingError("views of storages, of torch before 0.4")
        read = partial(_read_at, file, positions, key)
        return _only(storages, key, Storage(dtype, count * dtype.itemsize, read))

    # Magic number, version, platform, content and keys of the storages.
    *_, content, keys = [Unpickler(file, _STAND_INS, storage).load() for _ in range(5)]
    end = file.tell()
    for key in keys:
        positions[key] = end
        end += 8 + storages[key].size  # behind the number of elements
    if end > file.seek(0, 2):
        raise EOFError("the file ends within a tensor")
    return content


def _read_at(file: BinaryIO, positions: Mapping[str, int], key: str, size: int) -> UntypedStorage:
    storage = torch.empty(size, dtype=torch.uint8)
    file.seek(positions[key] + 8)
    if _read_into(file, storage.numpy().data) != size:
        raise EOFError("the file ends within a tensor")
    return storage.untyped_storage()


def _read_into(file: BinaryIO, buffer: memoryview) -> int:
    """Fill a buffer from a file, and return the number of bytes; an empty one cannot be given to ``readinto``."""
    return file.readinto(buffer) if buffer.nbytes else 0  # type: ignore[attr-defined]


def _only(storages: dict[str, Storage], key: str, new: Storage) -> Storage:
    """Return the storage of a key, which all tensors share.

    Raises:
        UnpicklingError: The file describes it in two ways.
    """
    known = storages.setdefault(key, new)
    if (known.dtype, known.size) != (new.dtype, new.size):
        raise pickle.UnpicklingError(f"storage {key} has two types or sizes")
    return known


def _checked(pid: Any, length: int) -> tuple[torch.dtype, str, int, Any]:
    """Return type, key, number of elements and view of the persistent id of a storage; the zip format has no views.

    Raises:
        UnpicklingError: The id is not that of a storage.
    """
    if not (isinstance(pid, tuple) and len(pid) == length and pid[0] == "storage"):
        raise pickle.UnpicklingError("unexpected reference to data outside the pickle")
    _, kind, key, _, count, *view = pid
    name = kind.name.rpartition(".")[2] if isinstance(kind, type) and issubclass(kind, Unknown) else ""
    if name not in _DTYPES or not isinstance(count, int) or count < 0 or not isinstance(key, str):
        raise pickle.UnpicklingError("a storage of unknown type or size")
    return _DTYPES[name], key, count, view[0] if view else None
