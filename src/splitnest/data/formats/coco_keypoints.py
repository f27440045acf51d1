"""Reader of COCO keypoint annotations.

Shapes: N annotations, K keypoints.
"""

from array import array
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_columns import AnnotationColumns
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import checked_content
from splitnest.data.formats.coco_json import integer, list_of, read_annotations
from splitnest.errors import DataError, first_few
from splitnest.recipe import Keypoints
from splitnest.structures.categories import Category
from splitnest.structures.skeleton import Skeleton, keypoints_of_category


@dataclass(frozen=True)
class KeypointFile:
    """Persons of an annotation file and their keypoints.

    Attributes:
        file: Boxes of the persons.
        keypoints: float64 ``[N, K, 3]``: x and y in pixels, and visibility (0 not labeled, 1 hidden, 2 visible); all 0
            for a person without keypoints.
        num_keypoints: int64 ``[N]``, number of labeled keypoints: as the file gives it, otherwise counted.
    """

    file: AnnotationFile
    keypoints: NDArray[np.float64]
    num_keypoints: NDArray[np.int64]


def read_keypoints(path: str | Path, category: Category, skeleton: Skeleton) -> KeypointFile:
    """Read a COCO keypoint file. Annotations of classes without keypoints are ignored.

    Args:
        path: Path of the file.
        category: Class with keypoints.
        skeleton: Keypoints of the model.

    Raises:
        DataError: Same conditions as ``read_coco``; or the class has other keypoints in the file, or an annotation has
            another number of keypoints.
    """
    content, columns = read_annotations(path, _KeypointColumns)
    num_values, row = 3 * len(skeleton.names), _category_row(path, content, category.name)
    file, rows = _rows_of_class(checked_content(path, content, columns), category.name)
    names = row.get("keypoints", list(skeleton.names))
    if names != list(skeleton.names):
        shown = first_few(names) if isinstance(names, list) else repr(names)
        raise DataError(
            f"{path}: the keypoints of {category.name!r} are {shown}, but those of the model are "
            f"{first_few(skeleton.names)}. Set data.keypoints=null to use those of the file, or give another file."
        )
    ends = np.asarray(columns.keypoint_ends)
    lengths = np.diff(ends, prepend=0)
    starts, lengths = (ends - lengths)[rows], lengths[rows]
    for wrong in np.flatnonzero((lengths != 0) & (lengths != num_values))[:1].tolist():
        raise DataError(
            f"{path}: annotation {file.ids[wrong]} of {file.file_names[file.image_index[wrong]]} has {lengths[wrong]} "
            f"numbers under 'keypoints', not {num_values}, three for each of {len(skeleton.names)} keypoints. "
            f"Correct it."
        )
    keypoints = np.zeros((len(rows), len(skeleton.names), 3))
    places = starts[lengths > 0][:, None] + np.arange(num_values)
    keypoints[lengths > 0] = np.asarray(columns.keypoints)[places].reshape(-1, *keypoints.shape[1:])
    counted, given = (keypoints[..., 2] > 0).sum(axis=1), np.asarray(columns.num_keypoints)[rows]
    return KeypointFile(file, keypoints, np.where(given < 0, counted, given))


def read_keypoint_definition(path: str | Path, class_name: str, *, required: bool) -> Keypoints | None:
    """Return the keypoints that a COCO file defines for a class.

    Args:
        path: Path of the file.
        class_name: Name of the class.
        required: Whether a file without keypoint names is an error; None is returned for it otherwise.

    Raises:
        DataError: The file cannot be read, does not have the class, or its definition is not valid.
    """
    content, _ = read_annotations(path, _NoColumns)
    row = _category_row(path, content, class_name)
    if not required and not row.get("keypoints"):
        return None
    try:
        return keypoints_of_category(row)
    except ValueError as error:
        raise DataError(
            f"{path}: category {class_name!r}: {error}. Correct the file, or set data.keypoints.names."
        ) from error


def _rows_of_class(file: AnnotationFile, class_name: str) -> tuple[AnnotationFile, NDArray[np.int64]]:
    """Return a file reduced to the boxes of one class, and the rows of their annotations."""
    index = [name for _, name in file.categories].index(class_name)
    rows = np.flatnonzero(file.category_index == index)
    columns = {key: getattr(file, key)[rows] for key in ("ids", "image_index", "boxes_xywh", "areas", "iscrowd")}
    no_segmentations = replace(
        AnnotationColumns().segmentations(),
        annotation_ends=np.zeros(len(rows), np.int64),
        rle_ends=np.zeros(len(rows), np.int64),
        rle_sizes=np.zeros((len(rows), 2), np.int64),
    )
    reduced = replace(
        file,
        **columns,
        category_index=np.zeros(len(rows), np.int64),
        categories=(file.categories[index],),
        segmentations=no_segmentations,
    )
    return reduced, rows


def _category_row(path: str | Path, content: dict[str, Any], class_name: str) -> dict[str, Any]:
    rows = list_of(path, content, "categories")
    for row in rows:
        if isinstance(row, dict) and row.get("name") == class_name:
            return row
    names = [str(row.get("name")) for row in rows if isinstance(row, dict)]
    raise DataError(
        f"{path} does not have the class {class_name!r}; it has {first_few(names) or 'none'}. Set data.classes to one "
        f"of its classes."
    )


class _KeypointColumns(AnnotationColumns):
    """Columns of annotations with keypoints."""

    def __init__(self) -> None:
        super().__init__()
        self.keypoints, self.keypoint_ends, self.num_keypoints = array("d"), array("q"), array("q")

    def append(self, item: dict[str, Any]) -> None:
        try:
            values = array("d", item.get("keypoints") or [])
        except TypeError as error:
            raise ValueError("'keypoints' is not a list of numbers") from error
        if not np.isfinite(values).all():
            raise ValueError("'keypoints' has numbers that are not finite")
        count = integer(item, "num_keypoints") if "num_keypoints" in item else -1
        super().append({**item, "segmentation": []})
        self.keypoints.extend(values)
        self.keypoint_ends.append(len(self.keypoints))
        self.num_keypoints.append(count)


class _NoColumns:
    """Columns that ignore all annotations."""

    def append(self, item: dict[str, Any]) -> None:
        pass
