"""Images of a shard as encoded bytes, read in the order of the shard."""

import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from splitnest.data.images.listing import is_image
from splitnest.errors import DataError, SplitnestError, printable
from splitnest.scanning.addresses import (
    base_name,
    import_parquet,
    is_known,
    is_remote,
    joined,
    open_input,
    parent,
    read_errors,
    reason_of,
)
from splitnest.scanning.parquet_columns import find_columns
from splitnest.scanning.shards import Shard

MAX_IMAGE_BYTES = 1 << 29
"""Maximum size of an encoded image."""

ROWS_AT_ONCE = 16
"""Number of Parquet rows that are decoded at once."""

CUT_SHORT = "is cut short"
"""Part of the message on a tar file that ends too early; its shard is predicted again as a whole."""


@dataclass(frozen=True)
class EncodedImage:
    """One image of a shard.

    Attributes:
        key: Name of the image in the results.
        read: Function that returns its bytes; it raises a DataError if they cannot be read.
        num_bytes: Size in memory until ``read`` is called.
    """

    key: str
    read: Callable[[], bytes]
    num_bytes: int = 0


def read_shard(shard: Shard, image_column: str | None = None, key_column: str | None = None) -> Iterator[EncodedImage]:
    """Yield the images of a shard.

    Args:
        shard: Shard.
        image_column, key_column: Columns of Parquet files; None recognizes them by their names.

    Raises:
        DataError: A store does not answer, or a Parquet file cannot be read.
    """
    match shard.kind:
        case "files":
            for key, address in zip(shard.keys, shard.addresses, strict=True):
                yield EncodedImage(key, partial(read_file, address))
        case "tar":
            yield from _read_tar(shard.addresses[0])
        case "parquet":
            yield from _read_parquet(shard, image_column, key_column)


def read_file(address: str) -> bytes:
    """Return the content of an image file.

    Raises:
        DataError: The file does not exist, or is too large.
        StoreError: The store does not answer.
    """
    if is_remote(address) and not is_known(address):
        raise DataError(f"{printable(address)} cannot be read: the protocol is unknown.")
    try:
        with open_input(address) as file:
            return _limited(file, address)
    except SplitnestError:
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise DataError(f"{printable(address)} cannot be read: {error.strerror or 'no access'}.") from error
    except Exception as error:  # each store has errors of its own
        if not is_remote(address):
            raise DataError(f"{printable(address)} cannot be read: {reason_of(error)}.") from error
        raise StoreError(address, error) from error


class StoreError(Exception):
    """Store that does not answer: the image may be intact, so the shard is not finished without it."""

    def __init__(self, address: str, error: Exception) -> None:
        super().__init__(f"{printable(address)} cannot be read: {reason_of(error)}")


class UnansweredError(SplitnestError):
    """Store that did not answer in several attempts (exit code 3)."""

    exit_code = DataError.exit_code


def _limited(file: BinaryIO, name: str) -> bytes:
    content = file.read(MAX_IMAGE_BYTES + 1)
    if len(content) > MAX_IMAGE_BYTES:
        raise DataError(f"{printable(name)} is larger than {MAX_IMAGE_BYTES >> 20} MiB. Resize or crop it.")
    return content


def _content(content: bytes) -> bytes:
    return content


def _raise(error: DataError) -> bytes:
    raise error


def _failed(key: str, message: str) -> EncodedImage:
    return EncodedImage(key, partial(_raise, DataError(message)))


class _Member(tarfile.TarInfo):
    """Header of a member that remembers how the archive ends: tarfile takes a damaged header for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Any:
        try:
            return super().fromtarfile(tarfile)
        except Exception as error:
            tarfile.end = type(error).__name__
            raise


def _read_tar(address: str) -> Iterator[EncodedImage]:
    """Yield the images of a tar file as it is read; its other members are passed over."""
    name, current = base_name(address), ""
    mode = "r|" if name.lower().endswith(".tar") else "r|gz"
    try:
        with read_errors(address):
            opened = _open_or_none(address)
        if opened is None:
            yield _failed(name, f"{printable(address)} does not exist. Check the sources.")
            return
        with opened as file, tarfile.open(fileobj=file, mode=mode, tarinfo=_Member) as tar:  # type: ignore[call-overload]
            for member in tar:
                current = member.name
                if member.isfile() and is_image(member.name):
                    yield _member(tar, member, address)
            current = ""
            if getattr(tar, "end", "") != "EOFHeaderError":
                raise tarfile.ReadError("the end-of-archive mark is missing")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        inside = f" in {printable(current)}" if current else ""
        message = f"{printable(address)} {CUT_SHORT} or damaged{inside} ({printable(error)}). Replace it, and retry."
        yield _failed(current or name, message)
    except OSError as error:
        raise DataError(
            f"{printable(address)} cannot be read: {error}. Check the connection and the credentials, and run the "
            f"scan again."
        ) from error


def _open_or_none(address: str) -> BinaryIO | None:
    try:
        return open_input(address)
    except FileNotFoundError:
        return None


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, address: str) -> EncodedImage:
    key = member.name.removeprefix("./")
    file = tar.extractfile(member)
    assert file is not None
    if member.size > MAX_IMAGE_BYTES:
        return _failed(key, f"{printable(key)} is larger than {MAX_IMAGE_BYTES >> 20} MiB. Resize or crop it.")
    content = file.read()
    if len(content) < member.size:
        raise tarfile.ReadError("unexpected end of data")
    return EncodedImage(key, partial(_content, content), len(content))


def _read_parquet(shard: Shard, image_column: str | None, key_column: str | None) -> Iterator[EncodedImage]:
    pyarrow, parquet = import_parquet()
    (address,) = shard.addresses
    folder, first, end = parent(address), *shard.row_groups
    try:
        with open_input(address) as opened:
            file: Any = parquet.ParquetFile(opened, buffer_size=1 << 20)
            columns = find_columns(file.schema_arrow, image_column, key_column, address)
            number = sum(file.metadata.row_group(index).num_rows for index in range(first))
            names = [columns.image] if columns.key is None else [columns.image, columns.key]
            groups = list(range(first, end))
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=groups, columns=names):
                keys = [None] * len(batch) if columns.key is None else batch.column(columns.key).to_pylist()
                for key, value in zip(keys, batch.column(columns.image).to_pylist(), strict=True):
                    yield _row(key, value, folder, f"{base_name(address)}:{number}")
                    number += 1
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(
            f"{printable(address)} cannot be read: {printable(error)}. Check the file and the connection, and run the "
            f"scan again."
        ) from error


def _row(key: Any, value: Any, folder: str, place: str) -> EncodedImage:
    """Return the image of a Parquet row: bytes, a path, or a struct of both.

    Args:
        key: Value of the column of names; None if it has none.
        value: Value of the column of images.
        folder: Folder that relative paths are relative to.
        place: File and number of the row.
    """
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(content, str):
        content, path = None, content
    name = str(key if key is not None else path or place)
    if content is not None:
        return EncodedImage(name, partial(_content, content), len(content))
    if not path:
        return _failed(name, f"Row {place} has no image.")
    return EncodedImage(name, partial(read_file, joined(folder, path)))
