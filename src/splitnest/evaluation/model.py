"""A model on a whole data set: read, predict, collect."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.batch import collate
from splitnest.data.categories import Categories
from splitnest.data.coco import CocoDetection
from splitnest.data.dataset import open_dataset
from splitnest.data.image_folders import open_image_labels
from splitnest.data.image_labels import LabelledImages
from splitnest.data.loader import PreparedImage, evaluation_loader, people_loader
from splitnest.data.people import open_people
from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.semantic import open_semantic
from splitnest.data.semantic_labels import SemanticDataset
from splitnest.evaluation.classification import ClassificationEvaluator
from splitnest.evaluation.coco import CocoEvaluator
from splitnest.evaluation.keypoints import KeypointEvaluator
from splitnest.evaluation.panoptic_model import PanopticModelEvaluator
from splitnest.evaluation.semantic import SemanticEvaluator
from splitnest.model import Model
from splitnest.people import estimate
from splitnest.processes import gathered
from splitnest.progress import track
from splitnest.recipe import ClassificationRecipe, DetectionRecipe, PoseRecipe, Recipe, SemanticRecipe
from splitnest.results import Result

Measured = CocoDetection | SemanticDataset | LabelledImages
"""What models are evaluated on."""

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

    def state(self) -> Any:
        """Return what was collected, compact and to be pickled, for ``merge`` of another one of the same data."""

    def merge(self, state: Any) -> None:
        """Add what another evaluator collected of other images."""

    def write(self, path: str | Path) -> None:
        """Write the results in the form that the evaluation server of the data set takes."""


def open_validation(recipe: Recipe, categories: Categories) -> Measured:
    """Open the validation data of a recipe.

    Args:
        recipe: Of the model.
        categories: What the labels of the model mean.

    Raises:
        UsageError: A path is not set.
        DataError: The data cannot be read, or does not have the classes of the model.
    """
    match recipe:
        case SemanticRecipe():
            return open_semantic(recipe.data, "val", categories)
        case PoseRecipe():
            return open_people(recipe, "val", categories)
        case ClassificationRecipe():
            return open_image_labels(recipe.data, "val", categories)
        case DetectionRecipe():
            return open_dataset(recipe.data, "val", categories)


def make_evaluator(recipe: Recipe, dataset: Measured, *, keeps_maps: bool = True) -> Evaluator:
    """Return an empty evaluator of what a model of ``recipe`` finds: classes, boxes, masks, segments, keypoints.

    Args:
        recipe: Of the model.
        dataset: With or without annotations.
        keeps_maps: So that label maps can be written afterwards.

    Raises:
        DataError: Masks are to be evaluated and an annotation has no outline, or a photograph lacks its label map.
    """
    if isinstance(dataset, SemanticDataset):
        ids = None if recipe.data.format == "folders" else dataset.categories.ids
        return SemanticEvaluator(dataset, ids, keeps_maps=keeps_maps)
    if isinstance(dataset, LabelledImages):
        return ClassificationEvaluator(dataset)
    if isinstance(recipe, PoseRecipe):
        assert isinstance(dataset, PeopleDataset)
        return KeypointEvaluator(dataset, recipe.input)
    match recipe.task:
        case "panoptic":
            return PanopticModelEvaluator(dataset)
        case "instance":
            return CocoEvaluator(dataset, ("bbox", "segm"))
        case _:
            return CocoEvaluator(dataset, ("bbox",))


@torch.inference_mode()
def predict_all(
    model: Model,
    recipe: Recipe,
    dataset: Measured,
    batch_size: int = 1,
    workers: int = 0,
    tta: Augmented | None = None,
    *,
    keeps_maps: bool = True,
) -> Evaluator:
    """Run ``model`` on every photograph of ``dataset`` and return an evaluator that holds all results.

    Each of several processes runs it on its own photographs, and the evaluator of the first one holds all of them.

    Args:
        model: In evaluation mode.
        recipe: Of the model.
        dataset: Photographs, with or without annotations.
        batch_size: Photographs that go through the network together, of a segmentor those of one size; or people.
        workers: Processes that read photographs; 0 reads in this one.
        tta: Test-time augmentation of ``model``; None goes without.
        keeps_maps: So that label maps can be written afterwards.

    Raises:
        DataError: A photograph or its labels cannot be read, or as ``make_evaluator``.
    """
    evaluator = make_evaluator(recipe, dataset, keeps_maps=keeps_maps)
    if isinstance(recipe, PoseRecipe):
        assert isinstance(dataset, PeopleDataset)
        photographs = people_loader(dataset, recipe.input, workers)
        people = chain.from_iterable(track(photographs, len(photographs), "evaluating", unit="images"))
        for image_id, poses in estimate(model, people, batch_size, dataset.categories):
            evaluator.update(image_id, poses)
        return _merged(evaluator)
    loader = evaluation_loader(dataset, recipe.input if tta is None else None, batch_size, workers)
    for samples in track(loader, len(loader), "evaluating", unit="batches"):
        for sample, result in zip(samples, _results(model, recipe, samples, tta), strict=True):
            evaluator.update(sample.image_id, result)
    return _merged(evaluator)


def _merged(evaluator: Evaluator) -> Evaluator:
    for state in gathered(evaluator.state())[1:]:
        evaluator.merge(state)
    return evaluator


def _results(
    model: Model,
    recipe: ClassificationRecipe | DetectionRecipe | SemanticRecipe,
    samples: Sequence[PreparedImage],
    tta: Augmented | None,
) -> Iterator[Result]:
    if tta is not None:
        yield from (tta(sample.image.numpy()) for sample in samples)
        return
    like = next(model.parameters())
    one_size = not isinstance(recipe, DetectionRecipe)  # whatever they make of an image would change with padding
    divisor = recipe.input.divisor if isinstance(recipe, DetectionRecipe) else 1
    for _, run in groupby(samples, key=lambda sample: sample.image.shape if one_size else None):
        group = list(run)
        batch = collate([sample.image for sample in group], [sample.original_size for sample in group], divisor)
        yield from model.predict(batch.to(like.device, like.dtype))
