"""Images that a path, folder, glob pattern or list stands for."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from splitnest.data.images.listing import SUFFIXES, list_images
from splitnest.data.images.read import Source, is_url, not_an_image
from splitnest.errors import DataError, cannot_read, tell


def expand_sources(source: Source | Sequence[Source]) -> list[Source]:
    """Expand folders and glob patterns to a flat list of images.

    A folder is replaced by its images and those of its subfolders, and a pattern by the files that match it, in sorted
    order. An existing path is never treated as a pattern. A path that does not exist is kept, and fails when it is
    read.

    Args:
        source: Image, folder or glob pattern, or a sequence of these.

    Raises:
        DataError: A folder has no images, a pattern matches no file, or an object is not an image.
    """
    if isinstance(source, str | Path):
        return _expand_path(source)
    if isinstance(source, Image.Image | np.ndarray):
        return [source]
    if not isinstance(source, Sequence) or isinstance(source, bytes | bytearray):
        raise not_an_image(source)
    return [image for item in source for image in expand_sources(item)]


def iterate_sources(sources: Iterator[Source]) -> Iterator[Source]:
    """Expand what an iterator yields, one item at a time; see ``expand_sources``."""
    for source in sources:
        yield from expand_sources(source)


def images_in(folder: str | Path, excluded: Path | None = None) -> list[Path]:
    """Return the images in a folder and its subfolders; files that are not images are reported on standard error.

    Hidden files and folders are passed over. Links are followed. A subfolder that cannot be listed is in the list, and
    fails when it is read as an image.

    Args:
        folder: Folder.
        excluded: Subfolder whose images are left out, as it is written to.

    Raises:
        DataError: There are no images, or the folder cannot be read.
    """
    top = Path(folder)
    avoided = None if excluded is None else os.path.realpath(excluded)
    if avoided == os.path.realpath(top):
        avoided = None
    try:
        listing = list_images(top, excluded=avoided)
    except OSError as error:
        raise DataError(cannot_read(folder, error, "a folder of images")) from error
    unlisted = [name for name in listing.others if (top / name).is_dir()]
    images = [top / name for name in [*listing.names, *unlisted]]
    if not images:
        raise DataError(f"{folder} has no images. Give a folder with {', '.join(sorted(SUFFIXES))} files.")
    if listing.note is not None:
        tell(f"note: {listing.note}")
    return images


def _expand_path(source: str | Path) -> list[Source]:
    if is_url(source) or os.path.isfile(source):
        return [source]
    if os.path.isdir(source):
        return list(images_in(source))
    if glob.has_magic(str(source)) and not os.path.lexists(source):
        matches = sorted(name for name in glob.glob(str(source), recursive=True) if os.path.isfile(name))
        if not matches:
            raise DataError(f"No file matches {source}. Check the pattern.")
        return list(matches)
    return [source]
