"""Reading the JSON of COCO's files: images and annotations are taken while it is read, and complaints name the row."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from splitnest.data.json_members import read_members
from splitnest.errors import DataError

Image = tuple[int, str, int, int]
"""Id, file name, height and width in pixels."""

_T = TypeVar("_T")


class Columns(Protocol):
    """Where annotations are gathered."""

    def append(self, item: dict[str, Any]) -> None:
        """Take one: KeyError, TypeError, ValueError and OverflowError say what is wrong with it."""


_C = TypeVar("_C", bound=Columns)


def read_annotations(path: str | Path, make: Callable[[], _C]) -> tuple[dict[str, Any], _C]:
    """Parse a file and gather its ``annotations``, whose objects never exist all at once.

    Args:
        path: Of the file.
        make: Gives empty columns.

    Returns:
        What else the file holds (under ``annotations`` a placeholder for each), and its annotations.

    Raises:
        DataError: The file is missing or not JSON of this form, or an image or an annotation is not sound.
    """
    columns = make()

    def append(row: int, item: Any) -> None:
        convert(path, "annotations", row, item, columns.append)

    def image(row: int, item: Any) -> Image:
        return convert(path, "images", row, item, _image)

    content = _parse(path, {"annotations": append, "images": image})
    listed(path, content, "annotations", required=False)
    return content, columns


def read_images(path: str | Path, content: dict[str, Any]) -> list[Image]:
    """Return the ``images`` of what ``read_annotations`` read.

    Raises:
        DataError: There are none, or an id occurs twice.
    """
    images: list[Image] = listed(path, content, "images")
    check_unique(path, "image", np.array([image[0] for image in images], np.int64))
    return images


def listed(path: str | Path, content: dict[str, Any], key: str, required: bool = True) -> list[Any]:
    """Return the list under a key; an empty one where it may be absent.

    Raises:
        DataError: It is absent but required, or no list.
    """
    if required and key not in content:
        raise DataError(f"{path} is not a COCO annotation file: it has no {key!r}.")
    value = content.get(key, [])
    if not isinstance(value, list):
        raise DataError(f"{path}: {key!r} is no list.")
    return value


def convert(path: str | Path, key: str, row: int, item: Any, build: Callable[[dict[str, Any]], _T]) -> _T:
    """Return ``build(item)``; its complaints become a DataError that names the row."""
    if not isinstance(item, dict):
        raise DataError(f"{path}: {key}[{row}] is no object.")
    try:
        return build(item)
    except KeyError as error:
        raise DataError(f"{_where(path, key, row, item)} has no {error}. Add it.") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{_where(path, key, row, item)}: {error}. Mend it.") from error


def _where(path: str | Path, key: str, row: int, item: dict[str, Any]) -> str:
    known = ", ".join(f"{name} {item[name]}" for name in ("id", "image_id", "file_name") if name in item)
    return f"{path}: {key}[{row}]" + (f" ({known})" if known else "")


def whole(item: dict[str, Any], key: str) -> int:
    """Return a whole number from 0 that 64 bits hold, also where it is written as a string.

    Raises:
        KeyError: It is absent.
        ValueError: It is something else.
    """
    value = item[key]
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{key!r} is {value!r}, not a whole number from 0 to 2**63")
    return value


def check_unique(path: str | Path, what: str, ids: NDArray[np.int64]) -> None:
    """Check that ids are distinct.

    Raises:
        DataError: They are not.
    """
    unique, counts = np.unique(ids, return_counts=True)
    for id_ in unique[counts > 1][:1]:
        raise DataError(f"{path}: the {what} id {id_} occurs more than once. Give each {what} its own.")


def index_of(values: NDArray[np.int64], known: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where each value is in ``known``, and whether it is there."""
    order = np.argsort(known)
    position = np.searchsorted(known, values, sorter=order)
    index = np.append(order, -1)[position]
    return index, np.append(known, -1)[index] == values


def _parse(path: str | Path, elements: Mapping[str, Callable[[int, Any], Any]]) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = read_members(file, elements)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). It is damaged or something else: replace it.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a COCO annotation file: its top level is no object.")
    return content


def _image(item: dict[str, Any]) -> Image:
    return whole(item, "id"), str(item["file_name"]), whole(item, "height"), whole(item, "width")
