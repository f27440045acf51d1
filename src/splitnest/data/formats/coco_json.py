"""JSON of COCO's annotation files: streamed rows, and error messages that name the row."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.faults import Faults
from splitnest.data.formats.json_stream import read_json
from splitnest.data.images.limits import MAX_PIXELS
from splitnest.errors import DataError, cannot_read
from splitnest.files import open_text

ImageRow = tuple[int, str, int, int]
"""Id, file name, height and width in pixels of an image."""

T = TypeVar("T")


class Columns(Protocol):
    """Columns that annotations are appended to."""

    def append(self, item: dict[str, Any]) -> None:
        """Add an annotation.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: The annotation is not valid.
        """


C = TypeVar("C", bound=Columns)


def read_annotations(
    path: str | Path, make_columns: Callable[[], C], add_image: Callable[[dict[str, Any]], None] | None = None
) -> tuple[dict[str, Any], C]:
    """Parse a file, and collect its ``annotations`` in columns; their parsed JSON never exists as a whole.

    Args:
        path: Path of the file.
        make_columns: Constructor of empty columns.
        add_image: Function that gets each image as it is parsed, for further values of it; None for none.

    Returns:
        Content of the file, with a placeholder for each annotation; and the annotations.

    Raises:
        DataError: The file cannot be read, is not valid JSON, or images or annotations are not valid.
    """
    columns, faults = make_columns(), Faults(path)

    def append(row: int, item: Any) -> None:
        collect("annotations", row, item, columns.append)

    def image(row: int, item: Any) -> ImageRow | None:
        found = collect("images", row, item, _image)
        if found is not None and add_image is not None:
            collect("images", row, item, add_image)
        return found

    def collect(key: str, row: int, item: Any, build: Callable[[dict[str, Any]], T]) -> T | None:
        try:
            return convert(path, key, row, item, build)
        except DataError as error:
            faults.add(str(error))
            return None

    content = _parse(path, {"annotations": append, "images": image})
    faults.raise_any()
    list_of(path, content, "annotations", required=False)
    return content, columns


def read_images(path: str | Path, content: dict[str, Any]) -> list[ImageRow]:
    """Return the ``images`` of the content that ``read_annotations`` returned.

    Raises:
        DataError: The file has none, or an id occurs twice.
    """
    images: list[ImageRow] = list_of(path, content, "images")
    check_unique(path, "image", np.array([image[0] for image in images], np.int64))
    return images


def list_of(path: str | Path, content: dict[str, Any], key: str, required: bool = True) -> list[Any]:
    """Return the list under a key; an empty list for an absent key that is not required.

    Raises:
        DataError: The key is absent but required, or its value is not a list.
    """
    if required and key not in content:
        raise DataError(f"{path} is not a COCO annotation file: it has no key {key!r}.")
    value = content.get(key, [])
    if not isinstance(value, list):
        raise DataError(f"{path}: {key!r} is not a list.")
    return value


def convert(path: str | Path, key: str, row: int, item: Any, build: Callable[[dict[str, Any]], T]) -> T:
    """Return ``build(item)``; its errors become a DataError that names the file and the row."""
    if not isinstance(item, dict):
        raise DataError(f"{path}: {key}[{row}] is not a JSON object.")
    try:
        return build(item)
    except KeyError as error:
        raise DataError(f"{_location(path, key, row, item)} has no key {error}. Add it.") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{_location(path, key, row, item)}: {error}. Correct it.") from error


def _location(path: str | Path, key: str, row: int, item: dict[str, Any]) -> str:
    known = ", ".join(f"{name} {item[name]}" for name in ("id", "image_id", "file_name") if name in item)
    return f"{path}: {key}[{row}]" + (f" ({known})" if known else "")


def integer(item: dict[str, Any], key: str) -> int:
    """Return a non-negative 64-bit integer, which may be written as a string.

    Raises:
        KeyError: The key is absent.
        ValueError: The value is something else.
    """
    value = item[key]
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{key!r} is {value!r}, not an integer from 0 to 2**63 - 1")
    return value


def check_unique(path: str | Path, kind: str, ids: NDArray[np.int64]) -> None:
    """Raise a DataError if two images, annotations or categories have the same id."""
    unique, counts = np.unique(ids, return_counts=True)
    for id_ in unique[counts > 1][:1]:
        raise DataError(f"{path}: the {kind} id {id_} occurs more than once. Give each {kind} its own id.")


def index_of(values: NDArray[np.int64], known: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the index of each value in ``known``, and whether it is there."""
    order = np.argsort(known)
    position = np.searchsorted(known, values, sorter=order)
    index = np.append(order, -1)[position]
    return index, np.append(known, -1)[index] == values


def _parse(path: str | Path, elements: Mapping[str, Callable[[int, Any], Any]]) -> dict[str, Any]:
    try:
        with open_text(path) as file:
            content = read_json(file, elements)
    except OSError as error:
        raise DataError(cannot_read(path, error, "a COCO annotation file")) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). Replace the file.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a COCO annotation file: its top level is not a JSON object.")
    return content


def _image(item: dict[str, Any]) -> ImageRow:
    height, width = integer(item, "height"), integer(item, "width")
    if not height * width:
        raise ValueError(f"its size is {width} x {height}: height and width are at least 1")
    if height * width > MAX_PIXELS:
        raise ValueError(f"its size is {width} x {height}, more than {MAX_PIXELS // 10**6} million pixels")
    return integer(item, "id"), _file_name(item), height, width


def _file_name(item: dict[str, Any]) -> str:
    """Return the file name of an image; in LVIS, which gives URLs only, with the folder of COCO, as in ``val2017/``."""
    if "file_name" not in item and isinstance(item.get("coco_url"), str):
        return "/".join(item["coco_url"].split("/")[-2:])
    return str(item["file_name"])
