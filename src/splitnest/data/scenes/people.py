"""The people of drawn scenes and their keypoints, without files."""

import numpy as np

from splitnest.data.categories import Categories
from splitnest.data.coco_keypoints import KeypointFile
from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.scenes.classes import PERSON
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.scenes.detection import DrawnPhotographs, annotation, coco_of
from splitnest.data.skeleton import Skeleton
from splitnest.errors import DataError


class ScenePeople(DrawnPhotographs, PeopleDataset):
    """Scenes with their people. All are drawn when this is made, and kept: 230 kB each at 240 x 320.

    Args:
        scenes: What is drawn.
        classes: The class of the model.
        skeleton: Its keypoints.

    Raises:
        DataError: They are not those of the scenes.
    """

    def __init__(self, scenes: Scenes, classes: Categories, skeleton: Skeleton) -> None:
        if skeleton.names != PERSON.keypoint_names:
            raise DataError("The people of scenes have the keypoints of COCO: set data.keypoints=coco.")
        self._images = np.empty((len(scenes), *scenes.size_hw, 3), np.uint8)
        rows, keypoints = [], []
        for index, scene in enumerate(scenes):
            self._images[index] = scene.image
            for one in scene.objects:
                if one.keypoints is not None:
                    rows.append(annotation(one, index + 1, PERSON))
                    keypoints.append(one.keypoints)
        points = np.array(keypoints, np.float64).reshape(-1, len(skeleton.names), 3)
        content = KeypointFile(coco_of(scenes, PERSON, rows), points, np.count_nonzero(points[..., 2], axis=1))
        super().__init__(None, "scenes", content, classes, skeleton)
