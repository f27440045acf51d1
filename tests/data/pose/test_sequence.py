"""Pose dataset from Python."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from helpers.python_data import PersonItems
from splitnest.data.items import Items
from splitnest.data.pose.sequence import SequencePose
from splitnest.data.scenes import Scenes
from splitnest.data.scenes.classes import PERSON
from splitnest.data.scenes.pose import ScenePose
from splitnest.errors import DataError
from splitnest.structures.skeleton import COCO


def dataset_of(items: Any) -> SequencePose:
    return SequencePose(Items(items, "data"), PERSON, COCO)


def test_persons_equal_those_of_scenes() -> None:
    dataset, scenes = dataset_of(PersonItems(8)), ScenePose(Scenes(8, (64, 96), 0), PERSON, COCO)
    assert dataset.has_pose.tolist() == scenes.has_pose.tolist()
    assert np.array_equal(dataset.keypoints, scenes.keypoints)
    assert np.array_equal(dataset.boxes, scenes.boxes)
    assert np.array_equal(dataset.read(3), scenes.read(3))


class Changed(PersonItems):
    def __init__(self, **changes: Any) -> None:
        super().__init__(8)
        self.changes = changes

    def label(self, index: int) -> Any:
        return dataclasses.replace(super().label(index), **self.changes)


def test_no_keypoints() -> None:
    assert not dataset_of(Changed(keypoints=None)).has_pose.any()


def test_other_keypoints_are_refused() -> None:
    class Fewer(PersonItems):
        def label(self, index: int) -> Any:
            target = super().label(index)
            assert target.keypoints is not None
            return dataclasses.replace(target, keypoints=target.keypoints[:, :5])

    with pytest.raises(DataError, match=r"keypoints of data\[\d\] have the shape \[\d, 5, 3\]\. Give \[\d, 17, 3\]"):
        dataset_of(Fewer(8))
    with pytest.raises(DataError, match=r"target of data\[0\] is a Tensor\. Give splitnest\.Instances"):
        dataset_of([(np.zeros((9, 9, 3), np.uint8), torch.zeros(1, 17, 3))])
