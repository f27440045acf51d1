"""Results of ``splitnest predict``: a JSON line for each image as it comes, and one JSON file at the end."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from splitnest.errors import UsageError, printable
from splitnest.files import check_output, is_stream, output_errors, replacing

LINES_SUFFIX = ".jsonl"
_START = b'{"model": '
_FAILED = b'"error": '


class ResultsFile:
    """Writer of results, which holds none of them.

    Each line is ``{"model", "file", "picture", "result"}``, or ``{"model", "error", "file"}`` for an unreadable image.
    The JSON file is written from the lines once all images are done.

    Args:
        path: JSON file; a file name that ends in .jsonl has lines only.
        folder: Folder of the lines if ``path`` is a pipe or a device.

    Attributes:
        path: JSON file.
        lines: File of JSON lines, beside it.
        done: Names of the images with a result; the values are the pictures of earlier runs.
        failed: Names of the unreadable images.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        beside = folder / "results" if is_stream(path) else path
        self.lines = beside.with_suffix(LINES_SUFFIX)
        self.done: dict[str, tuple[str, ...]] = {}
        self.failed: list[str] = []
        self._prefix = b""
        self._stack = ExitStack()
        self._file: BinaryIO | None = None

    def check(self, inputs: list[str | Path]) -> None:
        """Check that the files can be written, before anything is predicted.

        Args:
            inputs: Files that are read.

        Raises:
            UsageError: A file is one of the inputs, or exists and has no results.
            OutputError: A file cannot be written.
        """
        for path in dict.fromkeys((self.path, self.lines)):
            check_output(path, inputs)
            if path.is_file() and not is_stream(path) and not _has_results(path):
                raise UsageError(
                    f"{printable(path)} exists and has no results of splitnest predict. Give another file with --json."
                )
        if is_stream(self.lines):
            raise UsageError(f"{printable(self.lines)} is no regular file. Give another file with --json.")

    def keep(self, model: str) -> None:
        """Keep the results that the file of lines has; incomplete lines and unreadable images are removed.

        Raises:
            UsageError: The results are of another model.
            OutputError: The file cannot be written.
        """
        self._prefix = _prefix(model)
        if self.lines.exists():
            self._keep_results(model)

    def open(self, model: str, keep: bool) -> None:
        """Start the file of lines.

        Args:
            model: Name of the model.
            keep: Whether the file has results to which others are added, see ``keep``.

        Raises:
            OutputError: The file cannot be written.
        """
        self._prefix = _prefix(model)
        with output_errors(self.lines):
            self._file = self._stack.enter_context(self.lines.open("ab" if keep else "wb"))

    def add(self, row: dict[str, Any]) -> None:
        """Write the result of an image, ``{"file", "picture", "result"}``."""
        self.done[row["file"]] = ()
        self._write(row)

    def add_failed(self, name: str, error: str) -> None:
        """Write the error of an unreadable image."""
        self.failed.append(name)
        self._write({"error": error, "file": name})

    def finish(self) -> None:
        """Write the JSON file.

        Raises:
            OutputError: The file cannot be written.
        """
        if self.path == self.lines:
            return
        with replacing(self.path) as file:
            file.write(self._prefix + b'"images": [')
            _write_joined(file, (row for row in self._rows() if not row.startswith(_FAILED)))
            file.write(b'], "failed": [')
            _write_joined(file, (row for row in self._rows() if row.startswith(_FAILED)))
            file.write(b"]}\n")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the results as they were added, ``{"file", "picture", "result"}``."""
        with self.lines.open("rb") as file:
            for line in file:
                if (row := _parsed(line)) is not None and "error" not in row:
                    yield row

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _write(self, row: dict[str, Any]) -> None:
        assert self._file is not None
        with output_errors(self.lines):
            self._file.write(self._prefix + json.dumps(row).encode()[1:] + b"\n")
            self._file.flush()

    def _rows(self) -> Iterator[bytes]:
        """Yield the lines without their model and brackets at both ends."""
        with self.lines.open("rb") as file:
            for line in file:
                yield line[len(self._prefix) :].strip()[:-1]

    def _keep_results(self, model: str) -> None:
        is_whole = True
        with self.lines.open("rb") as file:
            for line in file:
                row = _parsed(line)
                if row is None or "error" in row:
                    is_whole = False
                    continue
                if not line.startswith(self._prefix):
                    raise UsageError(
                        f"{printable(self.lines)} has results of {row.get('model')}, not of {model}. Give another file "
                        f"with --json, or omit --skip-existing to replace them."
                    )
                pictures = (row.get("picture"), row.get("map"))
                self.done[str(row["file"])] = tuple(picture for picture in pictures if isinstance(picture, str))
        if not is_whole:
            with replacing(self.lines) as kept, self.lines.open("rb") as file:
                kept.writelines(line for line in file if (row := _parsed(line)) is not None and "error" not in row)


def _prefix(model: str) -> bytes:
    """Return the beginning of each line."""
    return _START + json.dumps(model).encode() + b", "


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return a line of results; None for one that was cut."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and "file" in row else None


def _has_results(path: Path) -> bool:
    """Return whether a file is empty or begins as the results of ``splitnest predict`` do."""
    with output_errors(path), path.open("rb") as file:
        start = file.read(len(_START))
    return not start or start == _START


def _write_joined(file: BinaryIO, rows: Iterator[bytes]) -> None:
    for number, row in enumerate(rows):
        file.write((b", {" if number else b"{") + row + b"}")
