"""Predictions beside ground truth, as a contact sheet and as figures of a page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitnest.data.dataset import ImageDataset
from splitnest.inference.batching import predict_prepared
from splitnest.models.base import Model
from splitnest.recipe import Recipe
from splitnest.structures.by_class import draw_by_class
from splitnest.tasks import task_of
from splitnest.visualize import contact_sheet
from splitnest.visualize.report.pictures import Figure, thumbnail

NUM_IMAGES = 8
"""Number of images of a sheet, spread evenly over the dataset."""

CELL_WIDTH = 640
"""Width of an image in pixels, in which names are legible."""


class Pair(NamedTuple):
    """Image with its ground truth, and with predictions, uint8 RGB ``[H, W, 3]`` each."""

    name: str
    ground_truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]


def prediction_pairs(model: Model, recipe: Recipe, dataset: ImageDataset) -> list[Pair]:
    """Draw images of a dataset with their ground truth and with the predictions.

    Args:
        model: Model in evaluation mode.
        recipe: Recipe of the model.
        dataset: Dataset with annotations.

    Raises:
        DataError: An image or its ground truth cannot be read.
    """
    task: Any = task_of(recipe)
    count = min(NUM_IMAGES, len(dataset))
    indices = np.unique(np.linspace(0, len(dataset) - 1, count, dtype=int)).tolist()
    prepared = ((index, task.prepare_item(dataset, index, recipe)) for index in indices)
    pairs = []
    for index, result in predict_prepared(model, recipe, prepared, NUM_IMAGES if task.has_fixed_input_size else 1):
        image = dataset.read(index)
        ground_truth = draw_by_class(task.ground_truth(dataset, index, recipe), image, scores=False)
        pairs.append(Pair(dataset.name(index), ground_truth, draw_by_class(result, image)))
    return pairs


def sheet(pairs: Sequence[Pair]) -> NDArray[np.uint8]:
    """Return a contact sheet of at least one pair, uint8 RGB ``[H, W, 3]``."""
    pictures = [picture for pair in pairs for picture in (pair.ground_truth, pair.predicted)]
    titles = [title for pair in pairs for title in (f"ground truth: {pair.name}", "predicted")]
    return contact_sheet(pictures, titles, cell_width=CELL_WIDTH)


def figures(pairs: Sequence[Pair]) -> list[Figure]:
    """Return the pairs as figures of a page."""
    return [
        Figure([thumbnail(picture, CELL_WIDTH) for picture in (pair.ground_truth, pair.predicted)], pair.name)
        for pair in pairs
    ]
