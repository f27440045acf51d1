"""Draw docs/front.jpg: predictions of three models trained on drawn scenes, on scenes that they have not seen.

splitnest demo --out demo
splitnest train examples/scenes_panoptic.yaml --out runs/panoptic
splitnest train examples/scenes_pose.yaml --out runs/pose
python tools/front_picture.py demo/run runs/panoptic runs/pose docs/front.jpg
"""

import sys
from pathlib import Path

import numpy as np

import splitnest
from splitnest.data.scenes import Scenes
from splitnest.visualize import contact_sheet
from splitnest.visualize.write import write_image

SEED = 3000
"""Seed of the scenes, which no training draws."""
SCENES = (2, 21, 27)
TITLES = ("instance segmentation", "panoptic segmentation", "pose estimation")
MIN_SCORE = 0.7


def scene_image(index: int) -> np.ndarray:
    """Return a scene as uint8 RGB."""
    return Scenes(max(SCENES) + 1, seed=SEED)[index].image


def person_boxes(index: int) -> np.ndarray:
    """Return the drawn persons of a scene as xywh boxes."""
    detections = Scenes(max(SCENES) + 1, seed=SEED)[index].detections()
    names = [detections.categories[label].name for label in detections.labels]
    boxes = detections.boxes[[name == "person" for name in names]].astype(np.float32)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def main(detector: str, panoptic: str, pose: str, out: str) -> None:
    """Predict and draw a scene with each model."""
    pictures = []
    for path, index in zip((detector, panoptic, pose), SCENES, strict=True):
        model, image = splitnest.load(path, device="cpu"), scene_image(index)
        options = {"boxes_xywh": [person_boxes(index)]} if model.recipe.task == "pose" else {}
        (result,) = model.predict(image, **options)
        pictures.append((result.above(MIN_SCORE) if model.recipe.task == "instance" else result).draw(image))
    write_image(Path(out), contact_sheet(pictures, TITLES, columns=3))


if __name__ == "__main__":
    main(*sys.argv[1:])
