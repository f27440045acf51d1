"""The main job on an embedded default: a small Mask R-CNN learns drawn scenes from nothing."""

from pathlib import Path

from PIL import Image

from splitnest.data.scenes import Scenes
from splitnest.pictures import save_picture
from splitnest.predictor import load
from splitnest.results import Detections
from splitnest.trainer import train
from splitnest.visualize import contact_sheet

RECIPE = Path(__file__).parent / "recipes" / "scenes.yaml"
NUM_SCENES = 6
SEED = 1000
"""Of the scenes that are drawn: neither those of the training nor those of its evaluation."""


def run(folder: Path) -> None:
    """Train on drawn scenes, evaluate on others, and predict for a few more.

    Args:
        folder: Gets a run (``run``, ``run-2``, ...) and ``demo.png``: labels beside predictions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = train(RECIPE, out=_new(folder / "run"))
    print(", ".join(f"{key} {value:.3f}" for key, value in trained.metrics.items() if key in ("box_ap", "mask_ap")))
    predictor = load(trained.last)
    scenes = Scenes(NUM_SCENES, seed=SEED)
    pictures, titles = [], []
    for index, scene in enumerate(scenes):
        (result,) = predictor.predict(scene.image)
        assert isinstance(result, Detections)
        pictures += [scene.detections().draw(scene.image, scores=False), result.draw(scene.image)]
        titles += [f"scene {index + 1}: labels", "predictions"]
    page = folder / "demo.png"
    save_picture(Image.fromarray(contact_sheet(pictures, titles, columns=4)), page)
    print(f"pictures: {page}")


def _new(folder: Path) -> Path:
    number, path = 1, folder
    while path.exists():
        number += 1
        path = folder.with_name(f"{folder.name}-{number}")
    return path
