"""Reader of all annotations of a COCO file: boxes, masks and keypoints of all categories.

Shapes: N annotations, K keypoints.
"""

from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_columns import AnnotationColumns
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import checked_content
from splitnest.data.formats.coco_json import list_of, read_annotations
from splitnest.errors import DataError
from splitnest.recipe import Keypoints
from splitnest.structures.skeleton import keypoints_of_category


def read_coco_annotations(
    path: str | Path,
) -> tuple[AnnotationFile, NDArray[np.float64] | None, Keypoints | None]:
    """Read a COCO file.

    Returns:
        Annotations; keypoints of each annotation, float64 ``[N, K, 3]``, x and y in pixels and visibility, all 0 for an
        annotation without keypoints; and their definition. Both are None for a file without keypoints.

    Raises:
        DataError: Same conditions as ``read_coco``; or categories have different keypoints, or an annotation has
            another number of them.
    """
    content, columns = read_annotations(path, _Columns)
    file = checked_content(path, content, columns)
    definition: Keypoints | None = None
    for row in list_of(path, content, "categories"):
        if not row.get("keypoints"):
            continue
        try:
            own = keypoints_of_category(row)
        except ValueError as error:
            raise DataError(f"{path}: category {row['name']!r}: {error}. Correct the file.") from error
        if definition is not None and own.names != definition.names:
            raise DataError(
                f"{path}: category {row['name']!r} has other keypoints than a category before it. Put each of them "
                f"into a file of its own."
            )
        definition = definition or own
    if definition is None:
        return file, None, None
    ends, count = np.asarray(columns.ends), 3 * len(definition.names)
    lengths = np.diff(ends, prepend=0)
    for wrong in np.flatnonzero((lengths != 0) & (lengths != count))[:1].tolist():
        raise DataError(
            f"{path}: {file.cite(wrong)} has {lengths[wrong]} numbers under 'keypoints', not {count}, three for each "
            f"of {count // 3} keypoints. Correct it."
        )
    keypoints = np.zeros((len(ends), count))
    keypoints[lengths > 0] = np.asarray(columns.values).reshape(-1, count)
    return file, keypoints.reshape(len(ends), -1, 3), definition


class _Columns(AnnotationColumns):
    """Columns of annotations with masks and keypoints."""

    def __init__(self) -> None:
        super().__init__()
        self.values, self.ends = array("d"), array("q")

    def append(self, item: dict[str, Any]) -> None:
        try:
            values = array("d", item.get("keypoints") or [])
        except TypeError as error:
            raise ValueError("'keypoints' is not a list of numbers") from error
        if not np.isfinite(values).all():
            raise ValueError("'keypoints' has numbers that are not finite")
        super().append(item)
        self.values.extend(values)
        self.ends.append(len(self.values))
