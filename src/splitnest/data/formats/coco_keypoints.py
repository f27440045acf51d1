"""Reader of COCO keypoint annotations.

Shapes: N annotations, K keypoints.
"""

import math
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_columns import AnnotationColumns
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import checked_content
from splitnest.data.formats.coco_json import convert, integer, list_of, read_annotations
from splitnest.errors import DataError, first_few
from splitnest.recipe import Keypoints
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import COCO_NAMES, Skeleton, keypoints_of_category

WHOLE_BODY_PARTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
"""Keys of an annotation of COCO-WholeBody -> number of keypoints; they follow each other in the model."""

WHOLE_BODY_KEYS = tuple(WHOLE_BODY_PARTS)

HEAD_SIZE = 0.6
"""Head size of MPII relative to the diagonal of the head box."""


@dataclass(frozen=True)
class KeypointFile:
    """Persons of an annotation file and their keypoints.

    Attributes:
        file: Boxes of the persons.
        keypoints: float64 ``[N, K, 3]``: x and y in pixels, and visibility (0 not labeled, 1 hidden, 2 visible); all 0
            for a person without keypoints.
        num_keypoints: int64 ``[N]``, number of labeled keypoints: as the file gives it, otherwise counted.
        head_sizes: float64 ``[N]``, head size of each person in pixels, 0.6 times the diagonal of its ``head_box`` (as
            in MPII); NaN where the file gives none.
        crowd_indices: float64 ``[I]``, ``crowdIndex`` of each image of CrowdPose, from 0 to 1; NaN where the file gives
            none.
    """

    file: AnnotationFile
    keypoints: NDArray[np.float64]
    num_keypoints: NDArray[np.int64]
    head_sizes: NDArray[np.float64]
    crowd_indices: NDArray[np.float64]

    @classmethod
    def of(cls, file: AnnotationFile, keypoints: NDArray[np.float64]) -> Self:
        """Return persons of a source that has keypoints alone: labeled ones are counted."""
        unknown = (np.full(count, np.nan) for count in (len(keypoints), len(file.image_ids)))
        return cls(file, keypoints, (keypoints[..., 2] > 0).sum(axis=1), *unknown)


def read_keypoints(path: str | Path, categories: Categories, skeleton: Skeleton) -> KeypointFile:
    """Read a COCO keypoint file. Annotations of other classes are ignored.

    Args:
        path: Path of the file.
        categories: Classes with keypoints; the file may lack some of several.
        skeleton: Keypoints of the model.

    Raises:
        DataError: Same conditions as ``read_coco``; or a class has other keypoints in the file, or an annotation has
            another number of keypoints.
    """
    columns = _KeypointColumns(WHOLE_BODY_KEYS if _is_whole_body(skeleton) else ("keypoints",))
    content, _ = read_annotations(path, lambda: columns, columns.add_image)
    num_values = 3 * len(skeleton.names)
    for row in _category_rows(path, content, categories.names):
        _check_names(path, row, skeleton)
    file, rows = rows_of_classes(checked_content(path, content, columns), categories.names)
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
    return KeypointFile(
        file,
        keypoints,
        np.where(given < 0, counted, given),
        np.asarray(columns.head_sizes)[rows],
        np.array([columns.crowd_indices.get(id_, np.nan) for id_ in file.image_ids.tolist()]),
    )


def read_keypoint_classes(path: str | Path) -> tuple[str, ...]:
    """Return the names of the categories with keypoints in a COCO file, ordered by id.

    Raises:
        DataError: The file cannot be read, or no category has keypoints.
    """
    content, _ = read_annotations(path, _NoColumns)
    rows = [row for row in list_of(path, content, "categories") if isinstance(row, dict) and row.get("keypoints")]
    if not rows:
        raise DataError(f"{path} has no category with 'keypoints'. List the classes in data.classes.")
    ids = [convert(path, "categories", number, row, lambda row: integer(row, "id")) for number, row in enumerate(rows)]
    return tuple(str(row.get("name")) for _, row in sorted(zip(ids, rows, strict=True), key=lambda pair: pair[0]))


def read_keypoint_definition(path: str | Path, class_names: Sequence[str], *, required: bool) -> Keypoints | None:
    """Return the keypoints that a COCO file defines for the first of some classes that has any.

    Args:
        path: Path of the file.
        class_names: Names of the classes, which have the same keypoints.
        required: Whether a file without keypoint names is an error; None is returned for it otherwise.

    Raises:
        DataError: The file cannot be read, has none of the classes, or its definition is not valid.
    """
    content, _ = read_annotations(path, _NoColumns)
    rows = _category_rows(path, content, class_names)
    row = next((row for row in rows if row.get("keypoints")), rows[0])
    if not required and not row.get("keypoints"):
        return None
    try:
        return keypoints_of_category(row)
    except ValueError as error:
        raise DataError(
            f"{path}: category {row['name']!r}: {error}. Correct the file, or set data.keypoints.names."
        ) from error


def _is_whole_body(skeleton: Skeleton) -> bool:
    return len(skeleton.names) == sum(WHOLE_BODY_PARTS.values()) and skeleton.names[: len(COCO_NAMES)] == COCO_NAMES


def _check_names(path: str | Path, row: dict[str, Any], skeleton: Skeleton) -> None:
    """Raise a DataError if a category has other keypoints than the model."""
    names = row.get("keypoints", list(skeleton.names))
    if _is_whole_body(skeleton) and names == list(COCO_NAMES):
        return  # the other parts of COCO-WholeBody have no names in its files
    if not isinstance(names, list) or not _agree(names, skeleton.names):
        shown = first_few(names) if isinstance(names, list) else repr(names)
        raise DataError(
            f"{path}: the keypoints of {row['name']!r} are {shown}, but those of the model are "
            f"{first_few(skeleton.names)}. Set data.keypoints=null to use those of the file, or give another file."
        )


_WORDS = {"l": "left", "r": "right", "f": "front", "b": "back"}
"""Abbreviation in a name of a keypoint -> word."""


def _agree(names: Sequence[Any], known: Sequence[str]) -> bool:
    """Return whether names are the same keypoints in the same order.

    Tables of published datasets spell some names in another way than their files: ``L_Eye`` for ``left_eye`` (AP-10K),
    ``top_head`` for ``head`` (CrowdPose). Names agree if one has all words of the other.
    """
    pairs = [(_words(str(name)), _words(other)) for name, other in zip(names, known, strict=False)]
    return len(names) == len(known) and all(one and other and (one <= other or other <= one) for one, other in pairs)


def _words(name: str) -> set[str]:
    return {_WORDS.get(word, word) for word in re.findall(r"[^\W_]+", name.lower())}


def rows_of_classes(file: AnnotationFile, class_names: Sequence[str]) -> tuple[AnnotationFile, NDArray[np.int64]]:
    """Return a file reduced to the boxes of some classes, and the rows of their annotations."""
    kept = [index for index, (_, name) in enumerate(file.categories) if name in class_names]
    rows = np.flatnonzero(np.isin(file.category_index, kept))
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
        category_index=np.searchsorted(kept, file.category_index[rows]),
        categories=tuple(file.categories[index] for index in kept),
        segmentations=no_segmentations,
    )
    return reduced, rows


def _category_rows(path: str | Path, content: dict[str, Any], class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the categories of a file with some names, at least one."""
    rows = [row for row in list_of(path, content, "categories") if isinstance(row, dict)]
    found = [row for row in rows if row.get("name") in class_names]
    if found:
        return found
    names = [str(row.get("name")) for row in rows]
    wanted = "the class" if len(class_names) == 1 else "any of the classes"
    raise DataError(
        f"{path} does not have {wanted} {', '.join(map(repr, class_names))}; it has {first_few(names) or 'none'}. Set "
        f"data.classes to one or more of its classes."
    )


class _KeypointColumns(AnnotationColumns):
    """Columns of annotations with keypoints.

    Args:
        keys: Keys of an annotation whose keypoints follow each other.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__()
        self._keys = keys
        self.keypoints, self.keypoint_ends, self.num_keypoints = array("d"), array("q"), array("q")
        self.head_sizes: array[float] = array("d")
        self.crowd_indices: dict[int, float] = {}

    def add_image(self, item: dict[str, Any]) -> None:
        """Add the crowd index of an image, if it has one."""
        if "crowdIndex" in item:
            self.crowd_indices[integer(item, "id")] = _finite("crowdIndex", item["crowdIndex"])

    def append(self, item: dict[str, Any]) -> None:
        try:
            values = array("d", [value for key in self._keys for value in item.get(key) or []])
        except TypeError as error:
            raise ValueError(f"{' or '.join(map(repr, self._keys))} is not a list of numbers") from error
        if not np.isfinite(values).all():
            raise ValueError("'keypoints' has numbers that are not finite")
        count = integer(item, "num_keypoints") if "num_keypoints" in item else -1
        head = item.get("head_box")
        if head is not None and (not isinstance(head, list) or len(head) != 4):
            raise ValueError(f"'head_box' is {head}, not four numbers (x, y, width, height)")
        size = math.nan if head is None else HEAD_SIZE * math.hypot(*(_finite("head_box", side) for side in head[2:]))
        super().append({**item, "segmentation": []})
        self.keypoints.extend(values)
        self.keypoint_ends.append(len(self.keypoints))
        self.num_keypoints.append(count)
        self.head_sizes.append(float(size))


def _finite(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"{key!r} has {value!r}, which is not a finite number")
    return float(value)


class _NoColumns:
    """Columns that ignore all annotations."""

    def append(self, item: dict[str, Any]) -> None:
        pass
