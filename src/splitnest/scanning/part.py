"""Files of results, one for each shard: ``part-00017.parquet``. A file is complete or does not exist."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from splitnest.errors import DataError, printable
from splitnest.files import output_errors
from splitnest.scanning.addresses import import_parquet
from splitnest.scanning.columns import Row
from splitnest.scanning.storage import Storage

PREFIX, SUFFIX = "part-", ".parquet"

BYTES_IN_GROUP = 16 << 20
"""Approximate size from which the rows in memory are written as a row group."""

_IMAGES, _ERRORS = b"splitnest.images", b"splitnest.errors"
_BYTES_OF_NUMBER = 24


def part_name(index: int) -> str:
    """Return the name of the file of a shard."""
    return f"{PREFIX}{index:05d}{SUFFIX}"


def part_index(name: str) -> int | None:
    """Return the shard that a file has the results of; None for another file."""
    number = name.removeprefix(PREFIX).removesuffix(SUFFIX)
    return int(number) if number.isdecimal() and name == part_name(int(number)) else None


def finished_shards(names: Iterable[str], num_shards: int) -> list[int]:
    """Return the shards, in order, whose files are among the names of the files in an output folder."""
    indices = (part_index(name) for name in names)
    return sorted(index for index in indices if index is not None and index < num_shards)


class PartWriter:
    """Writer of the file of a shard. Rows are added in any order, and written in the order of their numbers.

    The file is built in a temporary file without a name, so a killed process leaves nothing.

    Args:
        schema: Schema of the rows (``pyarrow.Schema``).

    Attributes:
        images: Number of rows without an error.
        errors: Number of rows with one.
    """

    def __init__(self, schema: Any) -> None:
        self._pyarrow, parquet = import_parquet()
        self._schema, self.images, self.errors = schema, 0, 0
        self._waiting: dict[int, Row] = {}
        self._rows: list[Row] = []
        self._next = self._num_bytes = 0
        self._where = Path(tempfile.gettempdir())
        with output_errors(self._where):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self._writer = parquet.ParquetWriter(self._file, schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._writer.close()  # or it would write into a closed file when it is collected
        self._file.close()

    def add(self, number: int, row: Row) -> None:
        """Add the row with a number, from 0 without gaps.

        Raises:
            OutputError: The temporary folder is full.
        """
        self._waiting[number] = row
        while self._next in self._waiting:
            ready = self._waiting.pop(self._next)
            self._next += 1
            self._rows.append(ready)
            self._num_bytes += _num_bytes(ready)
            if ready.get("error") is None:
                self.images += 1
            else:
                self.errors += 1
            if self._num_bytes >= BYTES_IN_GROUP:  # after each row, so that groups depend on the rows only
                self._flush()

    def finish(self, storage: Storage, index: int) -> None:
        """Write the file of a shard into the output folder.

        Raises:
            OutputError: The file cannot be written.
        """
        assert not self._waiting, f"rows {sorted(self._waiting)} have no predecessor"
        self._flush()
        with output_errors(self._where):
            self._writer.add_key_value_metadata({_IMAGES: str(self.images), _ERRORS: str(self.errors)})
            self._writer.close()
            self._file.seek(0)
            content = self._file.read()
        storage.write(part_name(index), content)

    def _flush(self) -> None:
        if self._rows:
            columns = {name: [row.get(name) for row in self._rows] for name in self._schema.names}
            with output_errors(self._where):
                self._writer.write_table(self._pyarrow.Table.from_pydict(columns, schema=self._schema))
        self._rows, self._num_bytes = [], 0


def _num_bytes(value: Any) -> int:
    """Return the approximate size of a row in memory; it depends on the row only."""
    match value:
        case dict():
            return sum(map(_num_bytes, value.values()))
        case list():
            return sum(map(_num_bytes, value))
        case str() | bytes():
            return len(value)
    return getattr(value, "nbytes", _BYTES_OF_NUMBER)


@dataclass(frozen=True)
class Counts:
    """Numbers of rows of a file.

    Attributes:
        images: Rows without an error.
        errors: Rows with one.
    """

    images: int
    errors: int


class Part:
    """File of results of a shard.

    Args:
        storage: Output folder.
        index: Number of the shard.

    Raises:
        DataError: The file cannot be read, or is damaged.
    """

    def __init__(self, storage: Storage, index: int) -> None:
        self._pyarrow, parquet = import_parquet()
        self._where = storage.file(part_name(index))
        opened = storage.open(part_name(index))
        try:
            self._file: Any = parquet.ParquetFile(opened, buffer_size=1 << 20)
            metadata = self._file.metadata.metadata
            self.counts = Counts(int(metadata[_IMAGES]), int(metadata[_ERRORS]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            opened.close()
            raise self._damaged(error) from error

    def rows(self) -> Iterator[Row]:
        """Yield the rows.

        Raises:
            DataError: The file is damaged.
        """
        try:
            for batch in self._file.iter_batches(batch_size=16):
                yield from batch.to_pylist()
        except (OSError, self._pyarrow.ArrowException) as error:
            raise self._damaged(error) from error

    def table(self) -> Any:
        """Return all rows as a ``pyarrow.Table``.

        Raises:
            DataError: The file is damaged.
        """
        try:
            return self._file.read()
        except (OSError, self._pyarrow.ArrowException) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: object) -> DataError:
        return DataError(
            f"{self._where} is damaged or cut short ({printable(error)}). Delete it, and run the scan again: only this "
            f"shard is predicted."
        )
