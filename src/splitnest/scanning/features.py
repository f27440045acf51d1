"""Feature vectors of images: the mean of the backbone's last feature map over the image, without its padding."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.errors import UsageError
from splitnest.inference.batching import make_batch
from splitnest.inference.exported_model import ExportedModel
from splitnest.inference.loaded_images import LoadedImage
from splitnest.inference.predict_loaded import input_dtype
from splitnest.inference.predictor import Predictor
from splitnest.inference.prefetch import prefetch
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks import task_of

Prepared = tuple[tuple[int, str], PreparedImage]


def check_features(predictor: Predictor) -> None:
    """Raise a UsageError if a model has no backbone whose features can be computed."""
    if isinstance(predictor.module, ExportedModel) or not hasattr(predictor.module, "backbone"):
        raise UsageError(
            f"{predictor.recipe.name} is exported or a network from Python without a backbone, so it has no features. "
            f"Give a checkpoint or the name of a published model."
        )


def predict_features(
    predictor: Predictor, images: Iterable[LoadedImage], batch_size: int
) -> Iterator[tuple[tuple[int, str], tuple[int, int], NDArray[np.float32]]]:
    """Yield index and name, (height, width) in pixels, and feature vector float32 ``[C]`` of each image, in order.

    Args:
        predictor: Model with a backbone.
        images: Images, consumed in a thread.
        batch_size: Maximum number of images of one input size, which follow each other, that are processed together.
    """
    task, recipe, dtype = task_of(predictor.recipe), predictor.recipe, input_dtype(predictor.module)
    prepared: Iterator[Prepared] = prefetch(
        (((image.index, image.name), task.prepare(image.pixels, recipe, dtype=dtype)) for image in images), batch_size
    )
    batch: list[Prepared] = []
    for item in prepared:
        if batch and (len(batch) == batch_size or item[1].inputs.shape != batch[0][1].inputs.shape):
            yield from _features(predictor, batch)
            batch = []
        batch.append(item)
    if batch:
        yield from _features(predictor, batch)


@torch.inference_mode()
def _features(predictor: Predictor, items: list[Prepared]) -> list[Any]:
    task, recipe = task_of(predictor.recipe), predictor.recipe
    batch = make_batch(task, recipe, [prepared for _, prepared in items]).to(predictor.device, predictor.dtype)
    features = list(predictor.module.backbone(batch.images).values())[-1]
    ratio = batch.images.shape[-1] / features.shape[-1]
    height, width = (max(1, round(side / ratio)) for side in batch.sizes[0])
    vectors = features[..., :height, :width].mean(dim=(2, 3)).float().cpu().numpy()
    sizes = [prepared.original_size for _, prepared in items]
    return [(key, size, vector) for (key, _), size, vector in zip(items, sizes, vectors, strict=True)]
