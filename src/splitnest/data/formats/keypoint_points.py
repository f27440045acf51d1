"""Keypoints of instances as named points, and the arrays they become.

Shapes: N annotations, K keypoints.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco_keypoints import KeypointFile, rows_of_classes
from splitnest.errors import DataError, first_few
from splitnest.structures.skeleton import Skeleton

Point = tuple[str, float, float, int]
"""Name of a keypoint, x and y in pixels, and visibility (1 hidden, 2 visible)."""

Points = Mapping[int, Sequence[Point]]
"""Row of an annotation -> its labeled keypoints."""


def keypoint_file(
    file: AnnotationFile,
    points: Points,
    skeleton: Skeleton,
    origin: str | Path,
    class_names: Sequence[str] | None = None,
) -> KeypointFile:
    """Return annotations with their keypoints.

    Args:
        file: Annotations.
        points: Keypoints of the annotations.
        skeleton: Keypoints of the model.
        origin: File or folder that was read, for messages.
        class_names: Classes whose annotations are taken; None takes all.

    Raises:
        DataError: A keypoint is not one of the model.
    """
    index_of = {name: index for index, name in enumerate(skeleton.names)}
    keypoints = np.zeros((len(file.ids), len(index_of), 3))
    reduced, rows = file, np.arange(len(file.ids))
    if class_names is not None:
        reduced, rows = rows_of_classes(file, class_names)
    for row in rows.tolist():
        for name, x, y, visibility in points.get(row, ()):
            if name not in index_of:
                raise DataError(
                    f"{origin}: {file.cite(row)} has a keypoint {name!r}, but those of the model are "
                    f"{first_few(skeleton.names)}. Correct the name, or add it to data.keypoints.names."
                )
            keypoints[row, index_of[name]] = x, y, visibility
    return KeypointFile.of(reduced, keypoints[rows])
