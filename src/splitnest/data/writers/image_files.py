"""Image files of a dataset that is written: distinct names, copies and links."""

import os
import shutil
import unicodedata
from pathlib import Path, PurePosixPath

from splitnest.data.formats.faults import Faults
from splitnest.data.images.listing import is_image
from splitnest.data.images.size import image_size
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.errors import DataError
from splitnest.files import MAX_NAME_BYTES, shortened


def printable_name(name: str) -> str:
    """Return a name that is valid UTF-8 and prints on one line."""
    decoded = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\ufffd", "_")
    text = "".join("_" if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in decoded)
    return os.fsdecode(text.encode())


def plain_path(name: str) -> PurePosixPath:
    """Return the path of a file from elsewhere as one below any folder, without hidden, empty or parent parts."""
    parts = [printable_name(part).strip() for part in name.replace("\\", "/").split("/")]
    parts = [shortened(part, MAX_NAME_BYTES) for part in parts if part.strip(".")]
    return PurePosixPath(*(f"_{part}" if part.startswith(".") else part for part in parts or ["image"]))


class ImageNames:
    """Paths of images that differ without their suffix, in any letter case, since annotation files are named by it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def next(self, name: str) -> str:
        """Return the path of the next image, with a number where its own is taken."""
        path = plain_path(name)
        if not is_image(path.name):
            path = path.with_name(f"{path.name}.jpg")
        stem, number = path.stem, 1
        while (key := str(path.with_suffix("")).lower()) in self._taken:
            number += 1
            path = path.with_name(f"{stem}-{number}{path.suffix}")
        self._taken.add(key)
        return str(path)


class ImageFiles:
    """Copies of image files, or links to them, in a dataset that is written.

    Args:
        links: Whether to write symbolic links instead of copies.
        required: Whether an image without a file is a fault.

    Attributes:
        faults: Images that are missing or have another size than their annotations.
        num_renamed: Number of images with another path than before.
        num_missing: Number of images without a file.
    """

    def __init__(self, links: bool = False, required: bool = True) -> None:
        self.faults = Faults("The dataset")
        self.num_renamed = self.num_missing = 0
        self._links, self._required = links, required
        self._names: dict[Path, ImageNames] = {}

    def place(self, image: LabeledImage, folder: Path, names: Path | None = None) -> str:
        """Copy or link an image, and return its path in a folder.

        Args:
            image: Image.
            folder: Folder of the images.
            names: Folder of the files that are named after the images; the image folder by default.

        Raises:
            OSError: The file cannot be written.
        """
        name = self._names.setdefault(names or folder, ImageNames()).next(image.name)
        self.num_renamed += name != image.name
        if image.path is None or not self._is_valid(image, image.path):
            self.num_missing += 1
            return name
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (self._links and _link(image.path, target)):
            shutil.copyfile(image.path, target)
        return name

    def _is_valid(self, image: LabeledImage, path: Path) -> bool:
        try:
            size_hw = image_size(path)
        except DataError as error:
            if self._required:
                self.faults.add(str(error))
            return False
        if size_hw != image.size_hw:
            of_file, of_image = (f"{width} x {height}" for height, width in (image.size_hw, size_hw))
            self.faults.add(f"{path} has {of_image} pixels, but its annotations say {of_file}. Correct one of them.")
            return False
        return True


def _link(path: Path, target: Path) -> bool:
    """Make a symbolic link, and return whether that is possible here, which it is not on every file system."""
    try:
        target.symlink_to(os.path.relpath(os.path.realpath(path), os.path.realpath(target.parent)))
    except OSError:
        return False
    return True
