"""Recognition of keypoints in the exports of annotation tools."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.keypoint_points import Point
from splitnest.data.recognition.recognized import Recognized, SplitContent, content_of

Points = Mapping[int, Sequence[Point]]
"""Row of an instance -> its keypoints."""

MIN_FRACTION = 0.5
"""Fraction of the instances that have keypoints in a pose dataset."""


def with_keypoints(
    recognized: Recognized, files: Sequence[AnnotationFile | None], points: Sequence[Points | None]
) -> Recognized:
    """Return a dataset of boxes as one of keypoints, if most instances have some; otherwise unchanged.

    Args:
        recognized: Dataset of boxes or polygons.
        files: Annotations of the training split, and of the validation split or None.
        points: Keypoints of each split.
    """
    train, of_train = files[0], points[0]
    if train is None or not of_train or recognized.train.is_sample:
        return recognized
    if len(of_train) < MIN_FRACTION * len(train.ids):
        note = f"{len(of_train)} of {len(train.ids)} instances have keypoints, which are not learned"
        return replace(recognized, assumed=(*recognized.assumed, note))
    names = tuple(dict.fromkeys(point[0] for row in sorted(of_train) for point in of_train[row]))
    with_points = {train.categories[train.category_index[row]][1] for row in of_train}
    classes = tuple(name for name in recognized.classes if name in with_points)
    splits: list[SplitContent | None] = []
    for file, of_split in zip(files, points, strict=True):
        if file is None:
            splits.append(None)
            continue
        counted = np.zeros(len(file.ids), bool)
        counted[list(of_split or ())] = True
        splits.append(content_of(file, classes, counted=counted))
    assert splits[0] is not None
    return replace(
        recognized,
        format=f"{recognized.format} keypoints",
        task="pose",
        classes=classes,
        train=splits[0],
        val=splits[1],
        keypoints=names,
    )
