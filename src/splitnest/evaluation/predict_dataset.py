"""Prediction of a whole dataset, distributed over processes, into an evaluator."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.data.dataset import ImageDataset
from splitnest.data.loading.evaluation_loader import EvaluationLoader
from splitnest.distributed import gather_to_main
from splitnest.inference.batching import predict_prepared
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.own import ExtendedEvaluator, Metric
from splitnest.models.base import Model
from splitnest.progress import track
from splitnest.recipe import Recipe
from splitnest.structures import Result
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks import Task, task_of

PreparedImages = EvaluationLoader[tuple[int, PreparedImage]]
"""Index and preprocessed image of each image of a dataset."""

PredictImage = Callable[[NDArray[np.uint8]], Result]
"""Function from an image, uint8 RGB ``[H, W, 3]``, to its result."""


@torch.inference_mode()
def predict_dataset(
    model: Model,
    recipe: Recipe,
    dataset: ImageDataset,
    batch_size: int = 1,
    workers: int = 0,
    predict_image: PredictImage | None = None,
    *,
    metrics: Sequence[Metric] = (),
    prepared: PreparedImages | None = None,
) -> Evaluator:
    """Predict every image of a dataset, and return an evaluator with all results.

    In a process group each process predicts its share, and the evaluator of the main process has all results.

    Args:
        model: Model in evaluation mode.
        recipe: Recipe of the model.
        dataset: Dataset with or without annotations.
        batch_size: Maximum number of images, or of persons for a pose estimator, that are processed together.
        workers: Number of data loading processes; 0 loads in this process.
        predict_image: Prediction of one original image, for test-time augmentation; None uses the model.
        metrics: Metrics of the user, which are computed too if there are annotations.
        prepared: Images of the dataset, whose worker processes are used again; None starts ``workers``.

    Raises:
        UserCodeError: A metric raises an exception.
        DataError: An image or its ground truth cannot be read, or annotations that the metrics need are missing.
    """
    evaluator = make_evaluator(recipe, dataset, metrics)
    results: Iterable[tuple[int, Result]]
    if predict_image is None:
        prepared = prepared_images(recipe, dataset, workers) if prepared is None else prepared
        tracked = track(prepared, len(prepared), "evaluating")
        results = predict_prepared(model, recipe, tracked, batch_size)
    else:
        images = EvaluationLoader(_Read(dataset), len(dataset), workers)
        tracked_images = track(images, len(images), "evaluating")
        results = ((index, predict_image(image.numpy())) for index, image in tracked_images)
    for index, result in results:
        evaluator.update(dataset.image_id(index), result)
    for state in gather_to_main(evaluator.state())[1:]:
        evaluator.merge(state)
    return evaluator


def make_evaluator(recipe: Recipe, dataset: ImageDataset, metrics: Sequence[Metric]) -> Evaluator:
    """Return the evaluator of a dataset, with the metrics of the user if there are annotations."""
    task = task_of(recipe)
    evaluator: Evaluator = task.evaluator(dataset, recipe)
    if not metrics or not dataset.has_annotations:
        return evaluator
    indices = {dataset.image_id(index): index for index in range(len(dataset))}
    return ExtendedEvaluator(evaluator, metrics, lambda image_id: task.ground_truth(dataset, indices[image_id], recipe))


def prepared_images(recipe: Recipe, dataset: ImageDataset, workers: int) -> PreparedImages:
    """Return a loader that preprocesses the images of a dataset in worker processes; 0 uses this process."""
    return EvaluationLoader(_Prepare(task_of(recipe), dataset, recipe), len(dataset), workers)


@dataclass(frozen=True)
class _Prepare:
    """Preprocessing of the image with an index, in a worker process."""

    task: Task[Any, Any]
    dataset: ImageDataset
    recipe: Recipe

    def __call__(self, index: int) -> tuple[int, PreparedImage]:
        return index, self.task.prepare_item(self.dataset, index, self.recipe)


@dataclass(frozen=True)
class _Read:
    """Reading of the image with an index, in a worker process."""

    dataset: ImageDataset

    def __call__(self, index: int) -> tuple[int, Tensor]:
        return index, torch.tensor(self.dataset.read(index))
