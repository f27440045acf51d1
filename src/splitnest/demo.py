"""The main job on an embedded default: generated scenes, a small Mask R-CNN, pictures."""

from pathlib import Path

import torch
from PIL import Image

from splitnest.data.scenes import Scenes
from splitnest.pictures import save_picture
from splitnest.predictor import load
from splitnest.results import Detections
from splitnest.visualize import contact_sheet

MODEL = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
NUM_SCENES = 6
NUM_DRAWN = 5
"""Predictions of a scene that are drawn: those of an untrained network only clutter it."""


def run(folder: Path) -> None:
    """Predict on generated scenes with an untrained network, and write one page: labels above, predictions below.

    Args:
        folder: Made when missing; gets ``demo.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scenes = Scenes(NUM_SCENES, seed=0)
    torch.manual_seed(0)
    predictor = load(
        MODEL,
        weights=None,
        overrides={
            "name": "demo",
            "data.classes": list(scenes.categories.names),
            "model.backbone.depth": 14,
            "input.short_side": 240,
            "input.long_side": 320,
        },
    )
    print("This version does not train yet: the network below is untrained, so its predictions mean nothing.")
    labelled, predicted = [], []
    for index, scene in enumerate(scenes):
        (result,) = predictor.predict(scene.image)
        assert isinstance(result, Detections)
        labelled.append(scene.detections().draw(scene.image, scores=False))
        predicted.append(result[:NUM_DRAWN].draw(scene.image, score_threshold=0))
        print(f"scene {index}: {len(scene.objects)} objects, {len(result)} predictions of the untrained network")
    titles = [f"scene {i}, labels" for i in range(NUM_SCENES)] + [f"scene {i}, untrained" for i in range(NUM_SCENES)]
    page = folder / "demo.png"
    save_picture(Image.fromarray(contact_sheet(labelled + predicted, titles, columns=3)), page)
    print(f"picture: {page}")
