"""Check of the files that an evaluation writes its results to, before it begins."""

from collections.abc import Iterable
from pathlib import Path

from splitnest.errors import UsageError, printable
from splitnest.files import check_output, is_stream
from splitnest.visualize.write import is_free

IMAGE_SUFFIXES = (".png", ".jpg")
STARTS = (b"[", b'{"annotations": ', b"file,")
"""Beginnings of the result files: COCO's results, panoptic results, predictions of a classifier."""


def check_results(files: Iterable[Path], inputs: Iterable[str | Path]) -> None:
    """Check that results can be written, and replace neither an input nor a file that no evaluation wrote.

    Args:
        files: Files of the results.
        inputs: Files that the evaluation reads.

    Raises:
        UsageError: A file would be replaced.
        OutputError: A file cannot be written.
    """
    read = list(inputs)
    for number, file in enumerate(files):
        if file.suffix not in IMAGE_SUFFIXES or not number:
            check_output(file, read)
        if not (is_free(file) if file.suffix in IMAGE_SUFFIXES else _has_results(file)):
            raise UsageError(
                f"{printable(file)} exists and is not a result of an evaluation. Give another path with --results."
            )


def _has_results(path: Path) -> bool:
    """Return whether a path is a stream, absent, empty, or a file of results."""
    if is_stream(path) or not path.is_file():
        return True
    with path.open("rb") as file:
        start = file.read(max(map(len, STARTS)))
    return not start or start.startswith(STARTS)
