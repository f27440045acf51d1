"""The people of drawn scenes and their keypoints, without files."""

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories
from splitnest.data.coco_file import build_coco
from splitnest.data.coco_keypoints import KeypointFile
from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.scenes.classes import PERSON
from splitnest.data.scenes.dataset import Scenes
from splitnest.data.skeleton import Skeleton
from splitnest.errors import DataError


class ScenePeople(PeopleDataset):
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
                    x1, y1, x2, y2 = one.box.tolist()
                    box, area = [x1, y1, x2 - x1, y2 - y1], int(one.mask.sum())
                    rows.append({"image_id": index + 1, "category_id": PERSON[0].id, "bbox": box, "area": area})
                    keypoints.append(one.keypoints)
        images = [(index + 1, f"scene {index}", *scenes.size_hw) for index in range(len(scenes))]
        points = np.array(keypoints, np.float64).reshape(-1, len(skeleton.names), 3)
        content = KeypointFile(
            build_coco("scenes", images, [(PERSON[0].id, PERSON[0].name)], rows),
            points,
            np.count_nonzero(points[..., 2], axis=1),
        )
        super().__init__(None, "scenes", content, classes, skeleton)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels of one scene, uint8 RGB ``[H, W, 3]``."""
        return self._images[index]

    def check_files(self) -> list[str]:
        """List the missing files: scenes have none that could miss."""
        return []
