"""A detector or a panoptic model on a whole data set: read, predict, collect."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.batch import collate
from splitnest.data.coco import CocoDetection
from splitnest.data.loader import PreparedImage, evaluation_loader
from splitnest.evaluation.coco import CocoEvaluator
from splitnest.evaluation.panoptic_model import PanopticModelEvaluator
from splitnest.model import Model
from splitnest.progress import track
from splitnest.recipe import DetectionRecipe
from splitnest.results import Result

Augmented = Callable[[NDArray[np.uint8]], Result]
"""Gives the result of a photograph, uint8 RGB ``[H, W, 3]``."""


class Evaluator(Protocol):
    """Collects what a model finds, image by image."""

    def update(self, image_id: int, found: Any) -> None:
        """Add the result of one image, of the type that the model gives."""

    def compute(self) -> dict[str, float]:
        """Return the metrics from 0 to 1, -1 where there is nothing to measure; models are compared by the first."""

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return metrics of each class by its name."""

    def write(self, path: str | Path) -> None:
        """Write the results in the form that COCO's evaluation server takes."""


def make_evaluator(recipe: DetectionRecipe, dataset: CocoDetection) -> Evaluator:
    """Return an empty evaluator of what a model of ``recipe`` finds: boxes, masks where it has them, or segments.

    Raises:
        DataError: Masks are to be evaluated and an annotation has no outline.
    """
    match recipe.task:
        case "panoptic":
            return PanopticModelEvaluator(dataset)
        case "instance":
            return CocoEvaluator(dataset, ("bbox", "segm"))
        case "detection":
            return CocoEvaluator(dataset, ("bbox",))


@torch.inference_mode()
def detect_all(
    model: Model,
    recipe: DetectionRecipe,
    dataset: CocoDetection,
    batch_size: int = 1,
    workers: int = 0,
    tta: Augmented | None = None,
) -> Evaluator:
    """Run ``model`` on every photograph of ``dataset`` and return an evaluator that holds all results.

    Args:
        model: In evaluation mode.
        recipe: Of the model.
        dataset: Photographs, with or without annotations.
        batch_size: Photographs that go through the network together.
        workers: Processes that read photographs; 0 reads in this one.
        tta: Test-time augmentation of ``model``; None goes without.

    Raises:
        DataError: A photograph or its labels cannot be read, or masks are to be evaluated and an annotation has no
            outline.
    """
    evaluator = make_evaluator(recipe, dataset)
    loader = evaluation_loader(dataset, recipe.input if tta is None else None, batch_size, workers)
    for samples in track(loader, len(loader), "evaluating", unit="batches"):
        for sample, result in zip(samples, _results(model, recipe, samples, tta), strict=True):
            evaluator.update(sample.image_id, result)
    return evaluator


def _results(
    model: Model, recipe: DetectionRecipe, samples: Sequence[PreparedImage], tta: Augmented | None
) -> list[Result]:
    if tta is not None:
        return [tta(sample.image.numpy()) for sample in samples]
    like = next(model.parameters())
    sizes = [sample.original_size for sample in samples]
    batch = collate([sample.image for sample in samples], sizes, recipe.input.divisor)
    return model.predict(batch.to(like.device, like.dtype))
