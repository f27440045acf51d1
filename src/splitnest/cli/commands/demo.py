"""Command ``demo``: a small Mask R-CNN trained from scratch on synthetic scenes."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: splitnest demo --out demo"

RECIPE = Path(__file__).parents[1] / "scenes.yaml"
NUM_SCENES = 6
SEED = 1000
"""Seed of the predicted scenes, which are neither in the training nor in the validation split."""


def demo(out: Annotated[Path, typer.Option(help="Folder of the run and its drawings.")] = Path("demo")) -> None:
    """Train a small Mask R-CNN from scratch on synthetic scenes, evaluate it, and predict."""
    from splitnest.data.images.write import write_image
    from splitnest.data.scenes import Scenes
    from splitnest.inference.predictor import load
    from splitnest.structures import Detections
    from splitnest.training.train import train
    from splitnest.visualize import contact_sheet

    run = train(RECIPE, out=_new_folder(out / "run"))
    print(", ".join(f"{key} {value:.3f}" for key, value in run.metrics.items() if key in ("box_ap", "mask_ap")))
    predictor = load(run.last)
    pictures, titles = [], []
    for index, scene in enumerate(Scenes(NUM_SCENES, seed=SEED)):
        (result,) = predictor.predict(scene.image)
        assert isinstance(result, Detections)
        pictures += [
            scene.detections().draw(scene.image, scores=False, by_class=True),
            result.draw(scene.image, by_class=True),
        ]
        titles += [f"scene {index + 1}: ground truth", "predicted"]
    write_image(out / "demo.png", contact_sheet(pictures, titles, columns=4))
    print(f"drawings: {out / 'demo.png'}")


def _new_folder(folder: Path) -> Path:
    number, path = 1, folder
    while path.exists():
        number += 1
        path = folder.with_name(f"{folder.name}-{number}")
    return path
