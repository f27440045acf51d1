"""Batches of given images and ground truth, for ``module.loss``."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.images.normalize import normalize
from splitnest.errors import DataError
from splitnest.recipe import Recipe
from splitnest.structures.batch import Batch, collate
from splitnest.structures.instances import Instances
from splitnest.structures.panoptic_labels import UNLABELED
from splitnest.tasks import task_of


def ground_truth_batch(
    recipe: Recipe,
    images: Sequence[NDArray[np.uint8]],
    dtype: torch.dtype,
    instances: Sequence[Instances] | None = None,
    semantic: Sequence[NDArray[np.uint8]] | None = None,
    keypoints: Sequence[NDArray[np.floating]] | None = None,
    labels: Sequence[int] | None = None,
) -> Batch:
    """Return normalized images without resizing, and their ground truth; see ``Predictor.batch``.

    Raises:
        DataError: A label map has another size than its image, or an unknown class.
    """
    label_maps, points = None, None
    if semantic is not None:
        _check_label_maps(images, semantic, recipe.num_pixel_classes)
        label_maps = [torch.from_numpy(label_map.copy()) for label_map in semantic]
    if keypoints is not None:
        persons = ([[x, y, visibility > 0] for x, y, visibility in person] for person in keypoints)
        points = [torch.tensor(person, dtype=torch.float32) for person in persons]
    return collate(
        [normalize(image, recipe.input, dtype) for image in images],
        divisor=task_of(recipe).divisor(recipe),
        instances=instances,
        semantic=label_maps,
        keypoints=points,
        labels=None if labels is None else torch.tensor(labels),
    )


def _check_label_maps(
    images: Sequence[NDArray[np.uint8]], label_maps: Sequence[NDArray[np.integer]], num_classes: int
) -> None:
    """Raise a DataError for a label map that would be an index out of range in a loss."""
    for number, (image, labels) in enumerate(zip(images, label_maps, strict=True)):
        if labels.shape != image.shape[:2]:
            raise DataError(f"semantic[{number}] has shape {labels.shape}, but its image {image.shape[:2]}.")
        for value in np.setdiff1d(labels, [*range(num_classes), UNLABELED])[:1].tolist():
            raise DataError(
                f"semantic[{number}] has the value {value} in {np.count_nonzero(labels == value)} pixels. Use class "
                f"indices from 0 to {num_classes - 1}, and {UNLABELED} for unlabeled pixels."
            )
