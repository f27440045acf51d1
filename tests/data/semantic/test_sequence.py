"""Semantic segmentation dataset from Python."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.python_data import LabelMapItems
from splitnest.data.formats.label_map_folders import index_encoding
from splitnest.data.items import Items
from splitnest.data.scenes.classes import CATEGORIES
from splitnest.data.semantic.sequence import SequenceSemantic
from splitnest.errors import DataError

IMAGE = np.zeros((2, 3, 3), np.uint8)


def dataset_of(items: Any, ignore_label: int | None = None) -> SequenceSemantic:
    return SequenceSemantic(Items(items, "data"), CATEGORIES, index_encoding(CATEGORIES, None, ignore_label))


def test_label_maps_equal_those_of_scenes() -> None:
    items = LabelMapItems(2)
    dataset = dataset_of(items)
    assert np.array_equal(dataset.labels(1), items.scenes[1].semantic)
    (counts,) = dataset.class_counts()
    assert sum(counts.counts.values()) == 2 * 64 * 96
    assert dataset.has_annotations
    assert dataset.problems == []


LABELS = np.array([[0, 1, 255], [1, 1, 99]], np.uint8)


@pytest.mark.parametrize("target", [LABELS, LABELS.astype(np.int64), torch.from_numpy(LABELS), Image.fromarray(LABELS)])
def test_unlabeled_pixels(target: Any) -> None:
    dataset = dataset_of([(IMAGE, target)], ignore_label=99)
    assert dataset.labels(0).tolist() == [[0, 1, 255], [1, 1, 255]]
    assert dataset.labels(0).dtype == np.uint8


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros((2, 3), np.float32), r"target of data\[0\] is no label map"),
        (3, r"target of data\[0\] is no label map"),
        (np.zeros((3, 2), np.uint8), r"data\[0\] has an image of 3 x 2 pixels, but its target is for 2 x 3"),
        (np.full((2, 3), 200), r"data\[0\] has value 200 in 6 of 6 pixels, but the values of classes"),
    ],
)
def test_other_label_maps_are_refused(target: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset_of([(IMAGE, target)]).labels(0)
