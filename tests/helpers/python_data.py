"""Datasets from Python: drawn scenes as images and targets of each task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from splitnest.data.scenes import Scenes
from splitnest.data.scenes.classes import PERSON
from splitnest.data.scenes.scene import Scene
from splitnest.structures.instances import Instances
from splitnest.structures.panoptic_labels import PanopticLabels

SIZE = (64, 96)


class SceneItems(Dataset[Any]):
    """Scenes as items.

    Args:
        count: Number of scenes.
        dense: Whether masks are bool arrays instead of polygons.
    """

    def __init__(self, count: int, seed: int = 0, *, dense: bool = False) -> None:
        self.scenes: Sequence[Scene] = list(Scenes(count, SIZE, seed))
        self.dense = dense
        self.num_read = 0

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Any:
        self.num_read += 1
        return self.scenes[index].image, self.label(index)

    def label(self, index: int) -> Any:
        objects = self.scenes[index].objects
        masks = [torch.from_numpy(each.mask) if self.dense else each.polygons for each in objects]
        return Instances(boxes_of(objects), torch.tensor([each.label for each in objects], dtype=torch.int64), masks)


class KnownItems(SceneItems):
    """Scenes whose targets and sizes are known without reading."""

    def target(self, index: int) -> Any:
        return self.label(index)

    def size(self, index: int) -> tuple[int, int]:
        return SIZE


class PersonItems(SceneItems):
    def label(self, index: int) -> Any:
        persons = [each for each in self.scenes[index].objects if each.keypoints is not None]
        keypoints = np.array([each.keypoints for each in persons], np.float32).reshape(
            -1, len(PERSON.keypoint_names), 3
        )
        labels = torch.zeros(len(persons), dtype=torch.int64)
        return Instances(boxes_of(persons), labels, keypoints=torch.from_numpy(keypoints))


class LabelMapItems(SceneItems):
    def label(self, index: int) -> Any:
        return self.scenes[index].semantic


class ClassItems(SceneItems):
    def label(self, index: int) -> Any:
        return index % 3


class SegmentItems(SceneItems):
    def label(self, index: int) -> Any:
        scene = self.scenes[index]
        return PanopticLabels(
            segments=scene.segments.astype(np.int32),
            ids=np.array([row["id"] for row in scene.segments_info], np.int64),
            labels=np.array([row["category"] for row in scene.segments_info], np.int64),
            iscrowd=np.zeros(len(scene.segments_info), bool),
        )


def boxes_of(objects: Sequence[Any]) -> torch.Tensor:
    return torch.tensor([each.box.tolist() for each in objects], dtype=torch.float64).reshape(-1, 4)


def write_files(folder: Path, count: int) -> dict[str, Any]:
    """Write scenes as a COCO dataset, and return the values of a recipe that read it."""
    Scenes(count, SIZE, 0).write_coco(folder, "train")
    return {
        "data": {
            "format": "coco",
            "root": str(folder),
            "classes": list(Scenes(1, SIZE, 0).categories.names),
            "train_images": "train",
            "train_annotations": "annotations/instances_train.json",
            "val_images": None,
            "val_annotations": None,
        }
    }
