"""Prediction for images in memory: preprocessing in a thread, batches of one size, tiles, test-time augmentation."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.inference.batching import predict_prepared
from splitnest.inference.loaded_images import LoadedImage
from splitnest.inference.person_boxes import FindPeople
from splitnest.inference.prefetch import prefetch
from splitnest.inference.tiles import Tile, TiledPrediction
from splitnest.inference.tta import published_tta
from splitnest.models.base import Model
from splitnest.recipe import Recipe
from splitnest.structures import Result
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks import task_of

K = TypeVar("K")


def predict_loaded(
    module: Model,
    recipe: Recipe,
    images: Iterable[LoadedImage],
    key: Callable[[LoadedImage], K],
    *,
    batch_size: int = 1,
    resize: bool = True,
    tta: bool = False,
    tile: Tile | None = None,
    overlap: float | None = None,
    find_people: FindPeople | None = None,
) -> Iterator[tuple[K, Result]]:
    """Return a generator of each image's key with its result, in order. Arguments are checked at once.

    Args:
        module: Network in evaluation mode.
        recipe: Recipe of the network.
        images: Images, consumed in a thread.
        key: Function from an image to the key of its result, which is held until then.
        batch_size, resize, tta, tile, overlap: Same as in ``Predictor.predict``.
        find_people: Function from an image to its person boxes (pose only).

    Raises:
        UsageError: The model has no tiles or no test-time augmentation.
    """
    if tta or tile is not None:
        predict: Callable[..., Result] = (
            published_tta(module, recipe)
            if tile is None
            else TiledPrediction(module, recipe, tile, overlap, batch_size)
        )
        return ((key(image), predict(image.pixels, resize)) for image in prefetch(images, 1))
    if find_people is None:
        prepared = prefetch(
            ((key(image), prepare_image(module, recipe, image.pixels, resize=resize)) for image in images), batch_size
        )
    else:
        prepared = (
            (key(image), prepare_image(module, recipe, image.pixels, person_boxes=find_people(image)))
            for image in prefetch(images, 1)
        )
    return predict_prepared(module, recipe, prepared, batch_size)


def prepare_image(
    module: Model,
    recipe: Recipe,
    image: NDArray[np.uint8],
    *,
    resize: bool = True,
    person_boxes: PersonBoxes | None = None,
) -> PreparedImage:
    """Return the network inputs of an image, uint8 RGB ``[H, W, 3]``; see ``Task.prepare``."""
    dtype = input_dtype(module)
    return task_of(recipe).prepare(image, recipe, resize=resize, dtype=dtype, person_boxes=person_boxes)


def input_dtype(module: Model) -> torch.dtype:
    """Return the type of the inputs of a network before they are converted: never half precision."""
    return torch.promote_types(next(module.parameters()).dtype, torch.float32)
