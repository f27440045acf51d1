"""Paths of a dataset as a recipe gives them."""

from pathlib import Path

from splitnest.errors import DataError, UsageError
from splitnest.recipe.file_data import Data


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
        data: Data section of a recipe, or one part.
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
