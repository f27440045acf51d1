"""File names of drawings, which replace no file of others."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from splitnest.data.images.read import Source, is_url
from splitnest.data.images.sources import expand_sources, images_in
from splitnest.data.writers.dataset_writer import MARKER
from splitnest.data.writers.image_files import printable_name
from splitnest.files import shortened
from splitnest.visualize.write import is_free, is_written_here

MAX_NAME_BYTES, MAX_PATH_BYTES = 240, 3800
"""Maximum length of a file name without its number, and of a path; file systems allow 255 and 4095 bytes."""


def named_sources(sources: Iterable[str], out: Path) -> list[tuple[Source, PurePath]]:
    """Return the images that sources stand for, each with the path of its drawing below ``out``, without suffix.

    Images in a folder keep their path in it. Pictures that an earlier run drew into ``out`` are no images of a folder.

    Args:
        sources: Files, folders, globs or URLs.
        out: Folder of the drawings.

    Raises:
        DataError: A folder or glob has no images.
    """
    named: list[tuple[Source, PurePath]] = []
    for source in sources:
        if os.path.isdir(source) and not is_url(source):
            is_out = os.path.realpath(source) == os.path.realpath(out)
            paths = images_in(source, None if is_out else out)
            named += [
                (path, path.relative_to(source)) for path in paths if not (is_out and _is_own(path, Path(source)))
            ]
        else:
            named += [(path, _name(path)) for path in expand_sources(source)]
    return [(source, path.with_name(path.stem if path.stem.strip(".") else "image")) for source, path in named]


class PictureNames:
    """Names of drawings that are distinct in any letter case, with a number where a name is taken.

    A name is taken by another drawing, by a source image, and by a file that splitnest did not write.

    Args:
        folder: Folder of the drawings.
        sources: All source images.
        taken: Drawings that stay.
    """

    def __init__(self, folder: Path, sources: Iterable[Source], taken: Iterable[str] = ()) -> None:
        self._folder = folder
        self._taken = {name.lower() for name in (*_below(folder, sources), *_below(folder, taken))}

    def next(self, name: PurePath, ending: str = ".jpg") -> Path:
        """Return the path of a drawing.

        Args:
            name: Path below the folder, without suffix.
            ending: End of the file name.
        """
        parent = PurePath(*(printable_name(part) for part in name.parent.parts))
        if len(os.fsencode(self._folder / parent)) > MAX_PATH_BYTES or self._is_blocked(parent):
            parent = PurePath()
        stem = shortened(printable_name(name.name), MAX_NAME_BYTES - len(ending)) or "image"
        path, number = parent / f"{stem}{ending}", 1
        while not self._is_free(path):
            number += 1
            path = parent / f"{stem}-{number}{ending}"
        self._taken.add(str(path).lower())
        return self._folder / path

    def _is_free(self, path: PurePath) -> bool:
        if str(path).lower() in self._taken:
            return False
        return is_free(self._folder / path)

    def _is_blocked(self, parent: PurePath) -> bool:
        """Return whether a file or a link has the place of a folder."""
        folders = [self._folder / folder for folder in (parent, *parent.parents)][:-1]
        return any(folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()) for folder in folders)


def _name(source: Source) -> PurePath:
    text = str(source).split("?")[0].split("#")[0] if is_url(source) else str(source)
    return PurePath(PurePath(text).name or "image")


def _below(folder: Path, paths: Iterable[Source]) -> Iterable[str]:
    """Yield the paths relative to a folder of those that are in it."""
    top, parents = os.path.realpath(folder), dict[str, str]()
    for path in paths:
        if not isinstance(path, str | Path) or is_url(path):
            continue
        parent, name = os.path.split(path)
        if parent not in parents:
            parents[parent] = os.path.realpath(parent)
        if parents[parent] == top or parents[parent].startswith(top.rstrip(os.sep) + os.sep):
            yield os.path.relpath(os.path.join(parents[parent], name), top)


def _is_own(path: Path, folder: Path) -> bool:
    """Return whether an image below the folder of the drawings is a drawing, or in a subfolder of written results."""
    return is_written_here(path) or (folder / path.relative_to(folder).parts[0] / MARKER).is_file()
