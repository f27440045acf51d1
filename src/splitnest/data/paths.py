"""Paths of a dataset as a recipe gives them."""

from pathlib import Path, PurePosixPath

from splitnest.errors import DataError, UsageError
from splitnest.recipe.file_data import Data, Split


def required_root(data: Data) -> Path:
    """Return the root folder of a dataset.

    Raises:
        UsageError: ``data.root`` is not set.
    """
    if data.root is None:
        raise UsageError("data.root is not set. Give the folder of the dataset, as in data.root=/data/coco.")
    return Path(data.root)


def required_path(data: Data, key: str, what: str) -> Path:
    """Return a path of a dataset.

    Args:
        data: Data section of a recipe, or of one of its parts.
        key: Key of the path in the section.
        what: Description of the path, for messages.

    Raises:
        UsageError: ``data.root`` or the path is not set.
    """
    required_root(data)
    path = optional_path(data, key)
    if path is None:
        raise UsageError(f"data.{key} is not set. Give {what}, relative to data.root.")
    return path


def optional_path(data: Data, key: str) -> Path | None:
    """Return a path of a dataset; None if it is not set.

    Raises:
        UsageError: ``data.root`` is not set, and the path is.
    """
    path: str | None = getattr(data, key)
    return None if path is None else required_root(data) / path


def existing_folder(path: Path, what: str) -> Path:
    """Return a path that is a folder.

    Args:
        path: Path of the folder.
        what: Content of the folder, for the message.

    Raises:
        DataError: There is no such folder.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder. Give the folder of the {what}.")
    return path


def yolo_labels(data: Data, split: Split) -> Path:
    """Return the folder of YOLO's text files of a split: as given, or ``labels/...`` for ``images/...``.

    Raises:
        UsageError: The folder is not set, and the image folder has no part ``images``.
    """
    if (annotations := optional_path(data, f"{split}_annotations")) is not None:
        return annotations
    images: str = getattr(data, f"{split}_images")
    parts = list(PurePosixPath(images).parts)
    if "images" not in parts:
        raise UsageError(
            f"data.{split}_annotations is not set, and {images} has no part 'images' to be replaced by 'labels'. Give "
            f"the folder of the text files, relative to data.root."
        )
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return required_root(data) / PurePosixPath(*parts)
