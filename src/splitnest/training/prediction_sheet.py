"""Contact sheet of predictions beside ground truth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.dataset import ImageDataset
from splitnest.inference.batching import predict_prepared
from splitnest.models.base import Model
from splitnest.recipe import Recipe
from splitnest.structures.by_class import draw_by_class
from splitnest.tasks import task_of
from splitnest.visualize import contact_sheet

NUM_IMAGES = 8
"""Number of images of a sheet, spread evenly over the dataset."""

CELL_WIDTH = 640
"""Width of an image in pixels, in which names are legible."""


def prediction_sheet(model: Model, recipe: Recipe, dataset: ImageDataset) -> NDArray[np.uint8] | None:
    """Draw images of a dataset, each with its ground truth and beside it with the predictions.

    Args:
        model: Model in evaluation mode.
        recipe: Recipe of the model.
        dataset: Dataset with annotations.

    Returns:
        uint8 ``[H, W, 3]``; None for a dataset without images.

    Raises:
        DataError: An image or its ground truth cannot be read.
    """
    task: Any = task_of(recipe)
    count = min(NUM_IMAGES, len(dataset))
    indices = np.unique(np.linspace(0, len(dataset) - 1, count, dtype=int)).tolist()
    prepared = ((index, task.prepare_item(dataset, index, recipe)) for index in indices)
    pictures, titles = [], []
    for index, result in predict_prepared(model, recipe, prepared, NUM_IMAGES if task.has_fixed_input_size else 1):
        image = dataset.read(index)
        pictures += [
            draw_by_class(task.ground_truth(dataset, index, recipe), image, scores=False),
            draw_by_class(result, image),
        ]
        titles += [f"ground truth: {dataset.name(index)}", "predicted"]
    return contact_sheet(pictures, titles, cell_width=CELL_WIDTH) if pictures else None
