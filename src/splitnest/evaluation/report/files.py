"""Files of a report folder: the page, the numbers, and the statistics of each image."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.errors import DataError, UsageError, cannot_read, printable
from splitnest.files import check_output, open_regular, replacing, write_text
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.metrics.statistics.combined import CombinedStatistics
from splitnest.visualize.write import is_free

PAGE_FILE, NUMBERS_FILE, STATISTICS_FILE = "report.html", "report.json", "statistics.npz"
"""Names of the files of a report folder."""

FORMAT = "splitnest report"
"""Value of ``format``, the first key of the numbers."""

MAX_NUMBERS_BYTES = 500_000_000
"""Maximum size of the file of numbers that is read."""


@dataclass(frozen=True)
class StoredReport:
    """What a comparison needs of a report folder.

    Attributes:
        model: Name of the model.
        metrics: Metric name -> value from 0 to 1, or -1 for an undefined one.
        image_names: Names of the images, in the order of the dataset.
        statistics: Statistics of these images.
    """

    model: str
    metrics: dict[str, float]
    image_names: list[str]
    statistics: ImageStatistics


def check_report_folder(folder: Path, inputs: Iterable[str | Path] = ()) -> None:
    """Check that a report can be written into a folder, before the evaluation. The folder is created.

    Args:
        folder: Folder of the report.
        inputs: Files that the evaluation reads.

    Raises:
        UsageError: The path is a file, or a file of others would be replaced.
        OutputError: A file cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--report {printable(folder)} is a file. Give a folder, which gets {PAGE_FILE} and others.")
    read, page, numbers = list(inputs), folder / PAGE_FILE, folder / NUMBERS_FILE
    for file in (page, numbers, folder / STATISTICS_FILE):
        check_output(file, read)
    is_ours = _is_report(numbers) if numbers.exists() else not (folder / STATISTICS_FILE).exists()
    for file, is_replaceable in ((page, is_free(page)), (numbers, is_ours)):
        if not is_replaceable:
            raise UsageError(f"{printable(file)} exists and is not of a report. Give another folder with --report.")


def write_report_files(
    folder: Path, page: str, numbers: Mapping[str, Any], names: Iterable[str], statistics: ImageStatistics
) -> None:
    """Write the files of a report; the page is written last.

    Args:
        folder: Folder, which is created.
        page: HTML page.
        numbers: Numbers of the page, as plain values.
        names: Names of the images.
        statistics: Statistics of these images.

    Raises:
        OutputError: A file cannot be written.
    """
    write_text(folder / NUMBERS_FILE, json.dumps({"format": FORMAT, **numbers}, indent=1, allow_nan=False))
    whole = statistics if isinstance(statistics, CombinedStatistics) else CombinedStatistics([statistics])
    stored = {"names": np.array(list(names), dtype=np.str_), **whole.arrays()}
    with replacing(folder / STATISTICS_FILE) as file:
        np.savez(file, **stored)  # type: ignore[arg-type]
    write_text(folder / PAGE_FILE, page)


def is_report_folder(path: Path) -> bool:
    """Return whether a path is a folder with a report."""
    return path.is_dir() and _is_report(path / NUMBERS_FILE)


def read_report(folder: Path) -> StoredReport:
    """Read what a comparison needs of a report folder.

    Raises:
        DataError: A file is missing, damaged, or of another version.
    """
    numbers_file, statistics_file = folder / NUMBERS_FILE, folder / STATISTICS_FILE
    try:
        with open_regular(numbers_file) as file:
            numbers = json.loads(file.read(MAX_NUMBERS_BYTES))
        with open_regular(statistics_file) as file:
            arrays = _read_arrays(file)
    except OSError as error:
        raise DataError(cannot_read(error.filename or folder, error, "a report")) from error
    except (ValueError, KeyError, RecursionError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(folder) from error
    try:
        names = [str(name) for name in arrays["names"]]
        metrics = {str(name): float(value) for name, value in numbers["metrics"].items()}
        statistics = CombinedStatistics.from_arrays(arrays)
        if len(names) != statistics.num_images:
            raise ValueError("names and statistics differ")
        return StoredReport(str(numbers["model"]), metrics, names, statistics)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _damaged(folder) from error


def _damaged(folder: Path) -> DataError:
    return DataError(
        f"{folder} has a report that is damaged or of another version. Evaluate the model again with --report."
    )


def _read_arrays(file: Any) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an NPZ file without pickles and without compression, which could unpack to gigabytes."""
    with zipfile.ZipFile(file) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("the file is compressed")
    file.seek(0)
    with np.load(file, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def _is_report(path: Path) -> bool:
    """Return whether a file has the numbers of a report."""
    try:
        with open_regular(path) as file:
            return file.read(64).lstrip(b"{ \n\r\t").startswith(f'"format": "{FORMAT}"'.encode())
    except OSError:
        return False
