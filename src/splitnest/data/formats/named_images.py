"""Image files of a folder, found by the paths that annotation files of other machines give."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from splitnest.data.images.listing import list_images
from splitnest.data.paths import existing_folder


class NamedImages:
    """Images of a folder and its subfolders, found by name.

    Only listed images are found, so no path leads out of the folder.

    Args:
        folder: Image folder.

    Attributes:
        names: Paths of the images, relative to the folder.
        others: Paths of files that are neither images nor annotations.

    Raises:
        DataError: The folder does not exist.
    """

    def __init__(self, folder: Path) -> None:
        listing = list_images(existing_folder(folder, "images"))
        self.folder, self.names, self.others = folder, listing.names, listing.others
        self._exact = frozenset(listing.names)
        self._by_name = _unique((PurePosixPath(name).name, name) for name in listing.names)
        self._by_stem = _unique((PurePosixPath(name).stem, name) for name in listing.names)
        self._by_path_stem = _unique((os.path.splitext(name)[0], name) for name in listing.names)

    def find(self, path: str) -> str | None:
        """Return the image that a path of an annotation file means, relative to the folder; None without one.

        The longest end of the path that is an image is taken, then the only image with the file name in any folder,
        then one with another suffix.

        Args:
            path: Path as the file gives it, of this machine or another one, with slashes or backslashes.
        """
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        ends = ["/".join(parts[first:]) for first in range(len(parts))]
        if (found := next((end for end in ends if end in self._exact), None)) is not None:
            return found
        if not parts:
            return None
        if (found := self._by_name.get(parts[-1])) is not None:
            return found
        stems = (self._by_path_stem.get(os.path.splitext(end)[0]) for end in ends)
        return next((stem for stem in stems if stem is not None), None) or self._by_stem.get(
            PurePosixPath(parts[-1]).stem
        )


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """Return the value of each key; None for a key with several values."""
    found: dict[str, str | None] = {}
    for key, value in pairs:
        found[key] = None if key in found else value
    return found
