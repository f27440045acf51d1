"""Image files of a folder: hidden files are never images, links are followed, and other files are named."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splitnest.errors import first_few

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"),
    }
)
"""File name endings of images in a folder: those of the formats that ``read_image`` reads."""

_COMPANIONS = frozenset(
    {
        *(".txt", ".xml", ".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".names", ".data"),
        *(".cache", ".md", ".db", ".ini"),
    }
)
"""File name endings that are expected beside images: annotations, notes, and files of the operating system."""


NOT_AN_IMAGE = "file whose suffix is not that of an image: not read"
"""Kind of anomaly of ``ImageListing.others``."""


@dataclass(frozen=True)
class ImageListing:
    """Image files in a folder.

    Attributes:
        folder: The folder.
        names: Paths of the images relative to the folder, in the order of ``walk``.
        others: Paths of files that are neither images nor annotations, relative to the folder.
    """

    folder: Path
    names: list[str]
    others: list[str]

    @property
    def note(self) -> str | None:
        """Number and names of the other files, in one line; None without any."""
        if not self.others:
            return None
        count = f"{len(self.others)} files are" if len(self.others) > 1 else "1 file is"
        return f"{self.folder}: {count} not read, since the suffix is not that of an image: {first_few(self.others)}"


def is_hidden(name: str) -> bool:
    """Return whether a file name is hidden, as those of macOS's resource forks (``._a.jpg``)."""
    return name.startswith(".")


def is_image(name: str) -> bool:
    """Return whether a file name is that of an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not is_hidden(os.path.basename(name))


def list_images(folder: str | Path, *, recursive: bool = True, excluded: str | None = None) -> ImageListing:
    """List the images of a folder, by default with its subfolders.

    A link whose target does not exist, and anything else that is not a regular file, counts as another file.

    Args:
        folder: Folder.
        recursive: Whether to list subfolders too.
        excluded: Real path of a subfolder that is left out.

    Raises:
        OSError: The folder cannot be read.
    """
    names: list[str] = []
    others: list[str] = []
    for name, is_file in walk(folder, recursive=recursive, excluded=excluded):
        if is_file and is_image(name):
            names.append(name)
        elif os.path.splitext(name)[1].lower() not in _COMPANIONS:
            others.append(name)
    return ImageListing(Path(folder), names, others)


def list_files(folder: str | Path, suffix: str) -> list[str]:
    """Return the paths of the files with a suffix in a folder and its subfolders, relative to it.

    Raises:
        OSError: The folder cannot be read.
    """
    return [name for name, is_file in walk(folder) if is_file and name.lower().endswith(suffix)]


def walk(folder: str | Path, *, recursive: bool = True, excluded: str | None = None) -> Iterator[tuple[str, bool]]:
    """Yield the path of each visible file below a folder, relative to it, and whether it is a regular file.

    Files are sorted by name, and come before those of subfolders. Links are followed, except for one to a folder that
    contains it.

    Args:
        folder: Folder.
        recursive: Whether to visit subfolders too.
        excluded: Real path of a subfolder that is left out.

    Raises:
        OSError: The folder cannot be read.
    """
    above = frozenset() if excluded is None else _identities(excluded)
    yield from _walk(os.fspath(folder), "", recursive, above)


def _walk(folder: str, prefix: str, recursive: bool, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    status = os.stat(folder)
    identity = status.st_dev, status.st_ino
    if identity in above:
        return
    try:
        with os.scandir(folder) as scan:
            entries = sorted((entry for entry in scan if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except PermissionError:
        if not prefix:
            raise
        yield prefix, False
        return
    subfolders = [entry for entry in entries if entry.is_dir()]
    for entry in entries:
        if not entry.is_dir():
            yield prefix + entry.name, entry.is_file()
    for entry in subfolders if recursive else ():
        yield from _walk(entry.path, f"{prefix}{entry.name}/", recursive, above | {identity})


def _identities(folder: str) -> frozenset[tuple[int, int]]:
    """Return the identity of a folder that exists, as a set."""
    try:
        status = os.stat(folder)
    except OSError:
        return frozenset()
    return frozenset({(status.st_dev, status.st_ino)})
