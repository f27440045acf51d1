"""Interface of the writers of datasets."""

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.errors import UsageError, printable
from splitnest.files import output_errors
from splitnest.structures.categories import Categories

MARKER = ".splitnest"
"""Hidden file in a folder that splitnest wrote and may replace."""


class DatasetWriter(ABC):
    """Writer of a dataset, one image at a time, so that memory does not grow with their number.

    Args:
        folder: Existing folder, which the dataset is written into.
        categories: Classes that the labels of the instances index.
        files: Image files of the dataset.

    Attributes:
        notes: Kind of annotation that the format cannot hold -> number of cases.
    """

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        self.folder, self.categories, self.files = folder, categories, files
        self.notes: Counter[str] = Counter()

    @abstractmethod
    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image.

        Args:
            image: Image with its annotations.
            split: Name of its split; None for a dataset without splits.

        Raises:
            OSError: A file cannot be written; ``new_folder`` tells which dataset.
            DataError: The format cannot hold a name.
        """

    def finish(self) -> None:  # noqa: B027  # nothing is left to do in a format with a file for each image
        """Write what is left once all images are added.

        Raises:
            OSError: A file cannot be written.
        """

    def describe_notes(self) -> list[str]:
        """Return each kind of ``notes`` with its number, one line each."""
        return [f"{kind} ({count})" for kind, count in self.notes.items() if count]


class SplitFiles:
    """Text files of a dataset, one for each split, that grow with its images.

    Args:
        folder: Folder of the files.
        stem, suffix: Parts of the file name ``<stem>_<split><suffix>``.
    """

    def __init__(self, folder: Path, stem: str, suffix: str) -> None:
        self._folder, self._stem, self._suffix = folder, stem, suffix
        self.num_images: Counter[str | None] = Counter()

    def append(self, split: str | None, text: str) -> None:
        """Add text to the file of a split."""
        ending = "" if split is None else f"_{split}"
        with (self._folder / f"{self._stem}{ending}{self._suffix}").open("ab") as file:
            file.write(text.encode())


def write_file(path: Path, content: str) -> None:
    """Write a UTF-8 file below a folder that is not in its place yet, see ``new_folder``.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())


def check_new_folder(folder: Path, replaces: bool = False) -> None:
    """Check that a folder can be written: it does not exist, or is empty.

    Args:
        folder: Folder.
        replaces: Whether a folder that splitnest wrote may be replaced.

    Raises:
        UsageError: The folder has files of others.
        OutputError: The folder cannot be written.
    """
    with output_errors(folder):
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UsageError(f"{printable(folder)} is a file or a link. Give a new folder.")
        is_own = replaces and (folder / MARKER).is_file()
        if folder.is_dir() and any(folder.iterdir()) and not is_own:
            raise UsageError(f"{printable(folder)} is not empty. Give a new or empty folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name[:100]}.", dir=folder.parent):
            pass


@contextmanager
def new_folder(folder: Path, replaces: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``folder`` at the end; after an error it is removed.

    An OSError inside becomes an OutputError that names ``folder``.

    Args:
        folder: Folder that does not exist or is empty.
        replaces: Whether a folder that splitnest wrote may be replaced.

    Raises:
        UsageError: The folder has files of others.
        OutputError: The folder cannot be written.
    """
    check_new_folder(folder, replaces)
    with output_errors(folder):
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}.", suffix=".part", dir=folder.parent))
        old = part.with_suffix(".old")
        try:
            part.chmod(0o777 & ~_umask())
            (part / MARKER).touch()
            yield part
            if folder.exists():
                os.replace(folder, old)
            os.replace(part, folder)
        finally:
            for left in (part, old):
                shutil.rmtree(left, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    with suppress(OSError):
        os.umask(mask)
    return mask
