"""List of the shards of a scan as a Parquet file, which every worker reads: sources are listed once."""

import bisect
import hashlib
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from splitnest.errors import DataError, printable
from splitnest.files import output_errors
from splitnest.scanning.addresses import import_parquet
from splitnest.scanning.shards import Shard
from splitnest.scanning.storage import Storage

PREFIX, SUFFIX = "_shards-", ".parquet"

ROWS_IN_GROUP = 10_000
"""Minimum number of rows of a row group, which has whole shards and is read for each of them."""


def write_list(shards: Iterable[Shard], storage: Storage) -> tuple[str, int]:
    """Write the shards into the output folder, and return the name of the file, by its content, and their number.

    Raises:
        DataError: There are no shards.
        OutputError: The file cannot be written.
    """
    pyarrow, parquet = import_parquet()
    schema = pyarrow.schema(
        [
            ("shard", pyarrow.int32()),
            ("kind", pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
            ("address", pyarrow.string()),
            ("key", pyarrow.string()),
            ("first_group", pyarrow.int32()),
            ("end_group", pyarrow.int32()),
        ]
    )
    count, columns = 0, _Columns()
    with output_errors(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        with parquet.ParquetWriter(file, schema) as writer:
            for shard in shards:
                columns.add(shard)
                count += 1
                if columns.num_rows >= ROWS_IN_GROUP:
                    writer.write_table(pyarrow.Table.from_pydict(columns.values, schema))
                    columns = _Columns()
            if columns.num_rows:
                writer.write_table(pyarrow.Table.from_pydict(columns.values, schema))
        file.seek(0)
        content = file.read()
    if not count:
        raise DataError("The sources have no images. Give folders with images, tar files or Parquet files.")
    name = f"{PREFIX}{hashlib.sha256(content).hexdigest()[:16]}{SUFFIX}"
    storage.write(name, content)
    return name, count


class _Columns:
    """Rows of the list: one for each image of a shard of files, and one for each other shard."""

    def __init__(self) -> None:
        names = ("shard", "kind", "address", "key", "first_group", "end_group")
        self.values: dict[str, list[Any]] = {name: [] for name in names}

    @property
    def num_rows(self) -> int:
        return len(self.values["shard"])

    def add(self, shard: Shard) -> None:
        count = len(shard.addresses)
        self.values["shard"] += [shard.index] * count
        self.values["kind"] += [shard.kind] * count
        self.values["address"] += shard.addresses
        self.values["key"] += shard.keys or [None] * count
        self.values["first_group"] += [shard.row_groups[0]] * count
        self.values["end_group"] += [shard.row_groups[1]] * count


class ShardList:
    """Shards by their number, read when they are needed.

    Args:
        storage: Output folder.
        name: File of the list.

    Raises:
        DataError: The file cannot be read.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        _, parquet = import_parquet()
        self._where = storage.file(name)
        try:
            self._file: Any = parquet.ParquetFile(storage.open(name))
            metadata = self._file.metadata
            groups = range(metadata.num_row_groups)
            self._firsts = [metadata.row_group(group).column(0).statistics.min for group in groups]
        except (OSError, ValueError, AttributeError) as error:
            raise self._damaged(error) from error
        self._group = lru_cache(maxsize=2)(self._read_group)

    def __getitem__(self, index: int) -> Shard:
        rows = [row for row in self._group(bisect.bisect_right(self._firsts, index) - 1) if row["shard"] == index]
        if not rows:
            raise self._damaged(f"it has no shard {index}")
        first = rows[0]
        return Shard(
            index,
            first["kind"],
            tuple(row["address"] for row in rows),
            tuple(row["key"] for row in rows) if first["kind"] == "files" else (),
            (first["first_group"], first["end_group"]),
        )

    def _read_group(self, group: int) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = self._file.read_row_group(group).to_pylist()
        except (OSError, ValueError) as error:
            raise self._damaged(error) from error
        return rows

    def _damaged(self, error: object) -> DataError:
        return DataError(f"{self._where} is damaged ({printable(error)}). Copy it again, or scan into another folder.")
