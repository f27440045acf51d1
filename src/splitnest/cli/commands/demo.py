"""Command ``demo``: a small Mask R-CNN trained from scratch on synthetic scenes."""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from splitnest.files import check_output, numbered

EXAMPLE = "Example: splitnest demo --out demo"

RECIPE = Path(__file__).parents[1] / "scenes.yaml"
NUM_SCENES = 6
SEED = 1000
"""Seed of the predicted scenes, which are neither in the training nor in the validation split."""


def demo(out: Annotated[Path, typer.Option(help="Folder of the run and its drawings.")] = Path("demo")) -> None:
    """Train a small Mask R-CNN from scratch on synthetic scenes, evaluate it, and predict."""
    from splitnest.data.scenes import Scenes
    from splitnest.inference.load import load
    from splitnest.metrics.evaluator import percent
    from splitnest.structures import Detections
    from splitnest.training.train import train
    from splitnest.visualize import contact_sheet
    from splitnest.visualize.write import is_free, write_image

    page = _free_path(out / "demo.png", is_free)
    check_output(page)
    run = train(RECIPE, out=_free_path(out / "run", lambda path: not os.path.lexists(path)))
    print(", ".join(f"{key} {percent(value)}" for key, value in run.metrics.items() if key in ("box_ap", "mask_ap")))
    predictor = load(run.last)
    pictures, titles = [], []
    for index, scene in enumerate(Scenes(NUM_SCENES, seed=SEED)):
        (result,) = predictor.predict(scene.image)
        assert isinstance(result, Detections)
        ground_truth = replace(scene.detections(), categories=result.categories)  # in the colors of the model
        pictures += [
            ground_truth.draw(scene.image, scores=False, by_class=True),
            result.draw(scene.image, by_class=True),
        ]
        titles += [f"scene {index + 1}: ground truth", "predicted"]
    write_image(page, contact_sheet(pictures, titles, columns=4))
    print(f"drawings: {page}")


def _free_path(path: Path, is_free: Callable[[Path], bool]) -> Path:
    numbered_paths = (numbered(path, number) for number in count() if number != 1)
    return next(other for other in numbered_paths if is_free(other))
