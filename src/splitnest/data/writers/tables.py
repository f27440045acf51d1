"""Writers of results as tables, CSV and Parquet: one row for each instance, segment or class of an image.

The columns are file, height and width of the image in pixels, and those of ``to_dataframe``, see ``table_columns``. An
image without instances has no row.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splitnest.errors import UsageError
from splitnest.structures.categories import Categories
from splitnest.structures.tables import Row, table_columns, table_rows, task_of_result

IMAGE_COLUMNS: dict[str, type] = {"file": str, "height": int, "width": int}

ROWS_IN_MEMORY = 10_000
"""Number of rows of a Parquet file that are held and compressed together."""


def result_rows(
    name: str, content: Mapping[str, Any], categories: Categories, min_scores: Sequence[float]
) -> list[Row]:
    """Return the rows of a result, with the columns of its image.

    Args:
        name: Name of the image.
        content: Result, as its ``to_dict`` returns it.
        categories: Classes that the labels index.
        min_scores: Minimum score of each class, for persons that of their box; other rows are kept.
    """
    height, width = content["image_size"]
    image = {"file": name, "height": height, "width": width}
    rows = ({**image, **row} for row in table_rows(content, categories))
    if task_of_result(content) not in ("detection", "pose"):
        return list(rows)
    return [row for row in rows if row.get("box_score", row["score"]) >= min_scores[row["label"]]]


class CsvWriter:
    """Writer of a CSV file (RFC 4180, UTF-8).

    Args:
        path: File in a folder that is not in its place yet.
        task: Task of the model.
        categories: Classes that the labels index.
    """

    def __init__(self, path: Path, task: str, categories: Categories) -> None:
        self._path = path
        self._columns = {**IMAGE_COLUMNS, **table_columns(task, categories)}
        self._write([dict(zip(self._columns, self._columns, strict=True))])

    def add(self, rows: list[Row]) -> None:
        """Write rows."""
        self._write(rows)

    def finish(self) -> None:
        """Nothing is left to write."""

    def _write(self, rows: list[Row]) -> None:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, extrasaction="ignore").writerows(rows)
        with self._path.open("ab") as file:
            file.write(text.getvalue().encode())


class ParquetWriter:
    """Writer of a Parquet file.

    Args:
        path: File in a folder that is not in its place yet.
        task: Task of the model.
        categories: Classes that the labels index.

    Raises:
        UsageError: pyarrow is not installed.
    """

    def __init__(self, path: Path, task: str, categories: Categories) -> None:
        pyarrow, parquet = import_pyarrow()
        types = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}
        columns = {**IMAGE_COLUMNS, **table_columns(task, categories)}
        self._schema = pyarrow.schema([(name, types[type_]) for name, type_ in columns.items()])
        self._path, self._rows, self._table = path, list[Row](), pyarrow.Table
        self._file = parquet.ParquetWriter(path, self._schema)

    def add(self, rows: list[Row]) -> None:
        """Write rows."""
        self._rows += rows
        if len(self._rows) >= ROWS_IN_MEMORY:
            self._flush()

    def finish(self) -> None:
        """Write the last rows and the end of the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        columns = {name: [row.get(name) for row in self._rows] for name in self._schema.names}
        self._file.write_table(self._table.from_pydict(columns, schema=self._schema))
        self._rows = []


def import_pyarrow(advice: str = "Run pip install 'splitnest[tables]', or write csv.") -> tuple[Any, Any]:
    """Import the optional package pyarrow, and return it with ``pyarrow.parquet``.

    Args:
        advice: Last sentence of the message if it is not installed.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(f"Parquet files need the package pyarrow, which is not installed. {advice}") from error
    return pyarrow, pyarrow.parquet
