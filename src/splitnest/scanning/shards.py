"""Division of sources into shards: one for each tar file, a few row groups of Parquet, or a number of images."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from splitnest.data.images.listing import is_hidden, is_image, walk
from splitnest.errors import DataError, UsageError, cannot_read, printable
from splitnest.scanning.addresses import (
    absolute,
    base_name,
    expand,
    filesystem,
    import_parquet,
    is_remote,
    joined,
    open_input,
    parent,
    read_errors,
)
from splitnest.scanning.parquet_columns import find_columns

Kind = Literal["files", "tar", "parquet"]

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIXES = (".parquet", ".pq")
LIST_SUFFIXES = (".txt", ".lst")


@dataclass(frozen=True)
class Shard:
    """Images that are predicted together, whose results are one file.

    Attributes:
        index: Number of the shard, from 0.
        kind: Form of the images.
        addresses: Path or URL of each image (``files``), or of the tar or Parquet file.
        keys: Name of each image in the results (``files`` only).
        row_groups: First row group of a Parquet file and the one after the last (``parquet`` only).
    """

    index: int
    kind: Kind
    addresses: tuple[str, ...]
    keys: tuple[str, ...] = ()
    row_groups: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Sources:
    """Images to predict for, as a user gives them.

    Attributes:
        addresses: Folders or prefixes, which are searched with their subfolders; tar files, Parquet files, text files
            of one path a line, and images. Braces and wildcards are expanded.
        shard_size: Number of images of a shard of image files, and minimum number of one of Parquet rows.
        image_column, key_column: Columns of Parquet files; None recognizes them by their names.
    """

    addresses: tuple[str, ...]
    shard_size: int = 1000
    image_column: str | None = None
    key_column: str | None = None

    def __post_init__(self) -> None:
        if not self.addresses:
            raise UsageError("There are no sources. Give folders, tar files, Parquet files or text files of paths.")
        if self.shard_size < 1:
            raise UsageError(f"shard_size is {self.shard_size}. Give an integer of at least 1.")


@dataclass(frozen=True)
class _File:
    """File of a source: its kind, its address, and the name of an image in the results."""

    kind: Kind
    address: str
    key: str


def divide(sources: Sources, out: str) -> Iterator[Shard]:
    """Yield the shards of sources, in an order that depends on names only.

    Args:
        sources: Sources.
        out: Output folder, which is left out where it lies in a source.

    Raises:
        DataError: A source does not exist, cannot be read, or has no images.
    """
    index, waiting = 0, list[_File]()
    for file in _files(sources, out):
        if file.kind == "files":
            waiting.append(file)
            if len(waiting) == sources.shard_size:
                yield _of_files(index, waiting)
                index, waiting = index + 1, []
            continue
        spans = [(0, 0)] if file.kind == "tar" else _row_groups(file.address, sources)
        for span in spans:
            yield Shard(index, file.kind, (file.address,), (), span)
            index += 1
    if waiting:
        yield _of_files(index, waiting)


def _of_files(index: int, files: Sequence[_File]) -> Shard:
    return Shard(index, "files", tuple(file.address for file in files), tuple(file.key for file in files))


def _files(sources: Sources, out: str) -> Iterator[_File]:
    for source in sources.addresses:
        for address in expand(source):
            is_empty = True
            for file in _files_of(absolute(address), out):
                is_empty = False
                yield file
            if is_empty:
                raise DataError(
                    f"{printable(address)} has no images. Give a folder with images, tar files or Parquet files."
                )


def _files_of(address: str, out: str) -> Iterator[_File]:
    name = base_name(address).lower()
    if not is_remote(address) and not os.path.lexists(address):
        raise DataError(f"{printable(address)} does not exist. Check the path.")
    if not is_remote(address) and os.path.isdir(address):
        yield from _in_folder(address, _local_names(address, out))
    elif name.endswith(LIST_SUFFIXES):
        yield from _in_list(address)
    elif (kind := kind_of(name)) is not None:
        yield _File(kind, address, base_name(address))
    elif is_remote(address):
        yield from _in_folder(address, _remote_names(address, out))
    else:
        raise DataError(
            f"{printable(address)} is neither an image, a tar file, a Parquet file nor a text file of paths. Check its "
            f"suffix."
        )


def kind_of(name: str) -> Kind | None:
    """Return the kind of a file by the suffix of its name; None for one that has no images."""
    lower = name.lower()
    if is_hidden(name.rpartition("/")[2]):
        return None
    if is_image(lower):
        return "files"
    return "tar" if lower.endswith(TAR_SUFFIXES) else "parquet" if lower.endswith(PARQUET_SUFFIXES) else None


def _in_folder(folder: str, names: Iterable[str]) -> Iterator[_File]:
    for name in names:
        if (kind := kind_of(name)) is not None:
            yield _File(kind, joined(folder, name), name)


def _local_names(folder: str, out: str) -> Iterator[str]:
    excluded = None if is_remote(out) else os.path.realpath(out)
    try:
        yield from (name for name, is_file in walk(folder, excluded=excluded) if is_file)
    except OSError as error:
        raise DataError(cannot_read(printable(folder), error, "a folder of images")) from error


def _remote_names(folder: str, out: str) -> Iterator[str]:
    files = filesystem(folder)
    with read_errors(folder, "listed"):
        paths = sorted(files.find(folder))
    start = str(files._strip_protocol(folder)).rstrip("/") + "/"
    excluded = str(files._strip_protocol(out)).rstrip("/") + "/" if is_remote(out) else None
    for path in paths:
        name = path.removeprefix(start)
        is_written = excluded is not None and path.startswith(excluded)
        if not is_written and not any(is_hidden(part) for part in name.split("/")):
            yield name


def _in_list(address: str) -> Iterator[_File]:
    """Yield the files of a text file, one a line; relative paths are relative to its folder."""
    folder = parent(address)
    with read_errors(address), io.TextIOWrapper(open_input(address), encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            name = line.strip().removeprefix("./")
            if not name or name.startswith("#"):
                continue
            kind = kind_of(name)
            if kind is None:
                raise DataError(
                    f"Line {number} of {printable(address)} is {printable(name)}, which is no image, tar file or "
                    f"Parquet file. Correct it."
                )
            yield _File(kind, joined(folder, name), name)


def _row_groups(address: str, sources: Sources) -> list[tuple[int, int]]:
    """Return spans of row groups of a Parquet file, each with at least ``shard_size`` rows but for the last."""
    _, parquet = import_parquet()
    with read_errors(address), open_input(address) as file:
        content: Any = parquet.ParquetFile(file)
        find_columns(content.schema_arrow, sources.image_column, sources.key_column, address)
        counts = [content.metadata.row_group(index).num_rows for index in range(content.metadata.num_row_groups)]
    spans, first, rows = [], 0, 0
    for index, count in enumerate(counts):
        rows += count
        if rows >= sources.shard_size:
            spans.append((first, index + 1))
            first, rows = index + 1, 0
    return [*spans, (first, len(counts))] if rows else spans
