"""Reading the keypoints of a COCO file.

N annotations, K keypoints.
"""

from array import array
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data import skeleton
from splitnest.data.categories import Category
from splitnest.data.coco_file import CocoColumns, CocoFile, coco_file
from splitnest.data.coco_json import listed, read_annotations, whole
from splitnest.data.skeleton import Skeleton
from splitnest.errors import DataError, first_few
from splitnest.recipe.keypoints import Keypoints


@dataclass(frozen=True)
class KeypointFile:
    """The objects of a file and their keypoints.

    Attributes:
        file: The objects.
        keypoints: float64 ``[N, K, 3]``: x, y in pixels, and 0 for not labelled, 1 for hidden, 2 for visible; 0 all
            three of an object without keypoints.
        num_keypoints: int64 ``[N]``, how many are labelled: as the file says, or else counted.
    """

    file: CocoFile
    keypoints: NDArray[np.float64]
    num_keypoints: NDArray[np.int64]


def read_keypoints(path: str | Path, category: Category, expected: Skeleton) -> KeypointFile:
    """Read a COCO keypoints file. Annotations of other classes than the one with keypoints are passed over.

    Args:
        path: Of the file.
        category: The class that has keypoints.
        expected: Its keypoints.

    Raises:
        DataError: As ``read_coco``; or the file's class has other keypoints, or an annotation another number of them.
    """
    content, columns = read_annotations(path, _KeypointColumns)
    num_values, row = 3 * len(expected.names), _category_row(path, content, category.name)
    file, rows = _of_class(coco_file(path, content, columns), category.name)
    named = row.get("keypoints", list(expected.names))
    if named != list(expected.names):
        shown = first_few(named) if isinstance(named, list) else repr(named)
        raise DataError(
            f"{path}: the keypoints of {category.name!r} are {shown}, those of the model are "
            f"{first_few(expected.names)}. Set data.keypoints=null to take those of the file, or take another file."
        )
    ends = np.asarray(columns.keypoint_ends)
    lengths = np.diff(ends, prepend=0)
    starts, lengths = (ends - lengths)[rows], lengths[rows]
    for wrong in np.flatnonzero((lengths != 0) & (lengths != num_values))[:1].tolist():
        raise DataError(
            f"{path}: annotation {file.ids[wrong]} of {file.file_names[file.image_index[wrong]]} has {lengths[wrong]} "
            f"numbers for its keypoints, not {num_values}: three for each of {len(expected.names)}. Mend it."
        )
    keypoints = np.zeros((len(rows), len(expected.names), 3))
    places = starts[lengths > 0][:, None] + np.arange(num_values)
    keypoints[lengths > 0] = np.asarray(columns.keypoints)[places].reshape(-1, *keypoints.shape[1:])
    counted, given = (keypoints[..., 2] > 0).sum(axis=1), np.asarray(columns.num_keypoints)[rows]
    return KeypointFile(file, keypoints, np.where(given < 0, counted, given))


def named_keypoints(path: str | Path, name: str, *, required: bool) -> Keypoints | None:
    """Return what a COCO file says of the keypoints of its class ``name``; None if it names none, and need not.

    Raises:
        DataError: The file cannot be read, has no such class, or what it says is not sound.
    """
    content, _ = read_annotations(path, _Nothing)
    row = _category_row(path, content, name)
    if not required and not row.get("keypoints"):
        return None
    try:
        return skeleton.of_category(row)
    except ValueError as error:
        raise DataError(
            f"{path}: of the class {name!r}, {error}. Mend the file, or name them in data.keypoints.names."
        ) from error


def _of_class(file: CocoFile, name: str) -> tuple[CocoFile, NDArray[np.int64]]:
    """Return a file with the annotations of one class alone, without outlines, and which they were."""
    index = [known for _, known in file.categories].index(name)
    rows = np.flatnonzero(file.category_index == index)
    of_rows = {key: getattr(file, key)[rows] for key in ("ids", "image_index", "boxes_xywh", "areas", "iscrowd")}
    none = CocoColumns().segmentations()
    outlines = replace(
        none,
        annotation_ends=np.zeros(len(rows), np.int64),
        rle_ends=np.zeros(len(rows), np.int64),
        rle_sizes=np.zeros((len(rows), 2), np.int64),
    )
    category_index = np.zeros(len(rows), np.int64)
    categories = (file.categories[index],)
    return replace(file, **of_rows, category_index=category_index, categories=categories, segmentations=outlines), rows


def _category_row(path: str | Path, content: dict[str, Any], name: str) -> dict[str, Any]:
    rows = listed(path, content, "categories")
    for row in rows:
        if isinstance(row, dict) and row.get("name") == name:
            return row
    names = [str(row.get("name")) for row in rows if isinstance(row, dict)]
    raise DataError(f"{path} has no class {name!r}, but {first_few(names) or 'none'}. Set data.classes to one of them.")


class _KeypointColumns(CocoColumns):
    """Annotations with their keypoints."""

    def __init__(self) -> None:
        super().__init__()
        self.keypoints, self.keypoint_ends, self.num_keypoints = array("d"), array("q"), array("q")

    def append(self, item: dict[str, Any]) -> None:
        values = item.get("keypoints") or []
        try:
            numbers = array("d", values)
        except TypeError as error:
            raise ValueError("'keypoints' is no list of numbers") from error
        if not np.isfinite(numbers).all():
            raise ValueError("'keypoints' has numbers that are not finite")
        count = whole(item, "num_keypoints") if "num_keypoints" in item else -1
        super().append({**item, "segmentation": []})
        self.keypoints.extend(numbers)
        self.keypoint_ends.append(len(self.keypoints))
        self.num_keypoints.append(count)


class _Nothing:
    """Annotations, forgotten as soon as they are met."""

    def append(self, item: dict[str, Any]) -> None:
        pass
