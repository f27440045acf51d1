"""Persons of synthetic scenes and their keypoints as a pose dataset, without files."""

import numpy as np

from splitnest.data.formats.coco_keypoints import KeypointFile
from splitnest.data.pose.dataset import PoseDataset
from splitnest.data.scenes.classes import PERSON
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.detection import SCENES, SceneImages, annotation_file, annotation_row
from splitnest.errors import DataError
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import Skeleton


class ScenePose(SceneImages, PoseDataset):
    """Scenes with their persons. All are drawn by the constructor and kept: 230 kB each at 240 x 320.

    Args:
        scenes: Scenes.
        categories: Class of the model.
        skeleton: Keypoints of the model.

    Raises:
        DataError: The model has another class or other keypoints than the scenes.
    """

    def __init__(self, scenes: Scenes, categories: Categories, skeleton: Skeleton) -> None:
        if skeleton.names != PERSON.keypoint_names:
            raise DataError("The persons of scenes have the keypoints of COCO. Set data.keypoints=coco.")
        self._images = np.empty((len(scenes), *scenes.size_hw, 3), np.uint8)
        rows, keypoints = [], []
        for index, scene in enumerate(scenes):
            self._images[index] = scene.image
            for instance in scene.objects:
                if instance.keypoints is not None:
                    rows.append(annotation_row(instance, index + 1, PERSON))
                    keypoints.append(instance.keypoints)
        points = np.array(keypoints, np.float64).reshape(-1, len(skeleton.names), 3)
        persons = KeypointFile.of(annotation_file(scenes, PERSON, rows), points)
        super().__init__(None, persons, SCENES, categories, skeleton)
