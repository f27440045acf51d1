"""Image classification dataset from Python."""

from typing import Any

import numpy as np
import pytest
import torch

from helpers.python_data import ClassItems
from splitnest.data.classification.sequence import SequenceClassification
from splitnest.data.items import Items
from splitnest.data.scenes.classes import THINGS
from splitnest.errors import DataError


def dataset_of(items: Any) -> SequenceClassification:
    return SequenceClassification(Items(items, "data"), THINGS)


def test_class_indices() -> None:
    items = ClassItems(4)
    dataset = dataset_of(items)
    assert dataset.labels.tolist() == [0, 1, 2, 0]
    assert (len(dataset), dataset.name(3), dataset.check_files()) == (4, "data[3]", [])
    assert np.array_equal(dataset.read(3), items.scenes[3].image)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (99, r"target of data\[0\] is 99, but the model has"),
        ("cat", r"target of data\[0\] is 'cat', not a class index"),
        (torch.eye(3), r"target of data\[0\] is a Tensor of float32 with shape \[3, 3\], not a class index"),
    ],
)
def test_other_targets_are_refused(target: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset_of([(np.zeros((9, 9, 3), np.uint8), target)])
