"""Recognition of keypoints in YOLO's text files and in the exports of annotation tools."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.keypoint_points import Point, Points
from splitnest.data.recognition.recognized import Recognized, SplitContent, content_of
from splitnest.errors import DataError

MIN_FRACTION = 0.5
"""Fraction of the instances that have keypoints in a pose dataset whose format does not list them."""


def joined_points(files: Sequence[AnnotationFile], points: Sequence[Points]) -> Points:
    """Return the keypoints of several files by the rows of their concatenation."""
    joined: dict[int, Sequence[Point]] = {}
    first = 0
    for file, of_file in zip(files, points, strict=True):
        joined |= {first + row: of_row for row, of_row in of_file.items()}
        first += len(file.ids)
    return joined


def with_keypoints(
    recognized: Recognized,
    files: Sequence[AnnotationFile | None],
    points: Sequence[Points | None],
    listed_names: tuple[str, ...] = (),
) -> Recognized:
    """Return a dataset of boxes as one of keypoints, if they are listed or most instances have some.

    Args:
        recognized: Dataset of boxes or polygons.
        files: Annotations of the training split, and of the validation split or None.
        points: Keypoints of each split.
        listed_names: Names of the keypoints if the format lists them. All classes then have them.

    Raises:
        DataError: Keypoints are listed, but no instance has any.
    """
    train, of_train = files[0], points[0]
    assert train is not None
    assert of_train is not None
    if not of_train and listed_names:
        raise DataError(f"{recognized.root} has no instance with labeled keypoints. Correct the annotations.")
    if not of_train:
        return recognized
    names, classes = listed_names, recognized.classes
    if not listed_names:
        if len(of_train) < MIN_FRACTION * len(train.ids):
            note = f"{len(of_train)} of {len(train.ids)} instances have keypoints, which are not learned"
            return replace(recognized, assumed=(*recognized.assumed, note))
        names = tuple(dict.fromkeys(point[0] for row in sorted(of_train) for point in of_train[row]))
        with_points = {train.categories[train.category_index[row]][1] for row in of_train}
        classes = tuple(name for name in classes if name in with_points)
    contents = [
        None if file is None or content is None else _content(file, classes, of_split or {}, content)
        for file, of_split, content in zip(files, points, (recognized.train, recognized.val), strict=True)
    ]
    assert contents[0] is not None
    return replace(
        recognized,
        format=f"{recognized.format} keypoints",
        task="pose",
        classes=classes,
        train=contents[0],
        val=contents[1],
        keypoints=names,
    )


def _content(file: AnnotationFile, classes: Sequence[str], points: Points, boxes: SplitContent) -> SplitContent:
    """Return the content of a split whose instances count if they have keypoints."""
    counted = np.zeros(len(file.ids), bool)
    counted[list(points)] = True
    return content_of(file, classes, boxes.names, boxes.num_read, counted)
