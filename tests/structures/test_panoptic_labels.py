"""Panoptic ground truth of one image and its label maps."""

from typing import Any

import numpy as np
import pytest

from helpers.panoptic_tree import CLASSES, PIXELS
from splitnest.structures.panoptic_labels import UNLABELED, PanopticLabels


def labels_of(segments: Any = PIXELS, **fields: Any) -> PanopticLabels:
    values = {"ids": [300, 7, 70_000, 9], "labels": [1, 3, 0, 0], "iscrowd": [False, False, False, True], **fields}
    types = {"ids": np.int64, "labels": np.int64, "iscrowd": bool}
    return PanopticLabels(np.array(segments, np.int32), **{name: np.array(values[name], types[name]) for name in types})


def test_image_without_segments() -> None:
    labels = labels_of(np.zeros((2, 3)), ids=[], labels=[], iscrowd=[])
    assert (len(labels), labels.size_hw) == (0, (2, 3))
    assert (labels.semantic() == UNLABELED).all()
    assert (labels.stuff_labels(2) == UNLABELED).all()
    assert len(labels.to_result(CLASSES)) == 0


def test_image_without_things() -> None:
    labels = labels_of([[5, 5], [5, 0]], ids=[5], labels=[3], iscrowd=[False])
    assert labels.stuff_labels(2).tolist() == [[2, 2], [2, 255]]


def test_label_maps_match_expected_values() -> None:
    labels = labels_of()
    assert labels.semantic().dtype == labels.stuff_labels(2).dtype == np.uint8
    assert labels.semantic().tolist() == [[255, 255, 3, 3, 3], [0, 0, 1, 1, 3], [0, 0, 1, 1, 0]]
    assert labels.stuff_labels(2).tolist() == [[255, 255, 2, 2, 2], [0, 0, 0, 0, 2], [0, 0, 0, 0, 0]]
    result = labels.to_result(CLASSES)
    assert [(row["id"], row["category"], row["isthing"], row["area"]) for row in result.segments_info] == [
        (300, 1, True, 4),
        (7, 3, False, 4),
        (70_000, 0, True, 4),
        (9, 0, True, 1),
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ids": [300, 7, 70_000]}, r"labels must be int64 \[S\] with S = 3"),
        ({"ids": [300, 7, 7, 9]}, "must be distinct"),
        ({"ids": [300, 7, 70_000, 0]}, "from 1 to 16777215"),
        ({"ids": [300, 7, 70_000, 256**3]}, "from 1 to 16777215"),
        ({"labels": [1, 3, 0, -1]}, "class indices"),
        (
            {"ids": [300, 7, 70_000, 10]},
            "pixels have the id 9 without a segment and no pixels have the id 10 of",
        ),
        ({"segments": [[1.0]]}, "the id 1 without a segment"),
    ],
)
def test_invalid_labels_are_rejected(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labels_of(**fields)


def test_labels_must_fit_into_a_map() -> None:
    with pytest.raises(ValueError, match="under 255"):
        labels_of(labels=[1, 3, 0, 255]).semantic()
    assert labels_of(labels=[1, 300, 0, 255]).stuff_labels(300).max() == 255
