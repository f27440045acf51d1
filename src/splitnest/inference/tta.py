"""Test-time augmentation (TTA) by the protocol of the published metrics."""

from collections.abc import Callable
from typing import Any

from splitnest.errors import UsageError
from splitnest.inference.detection_tta import DetectionTTA
from splitnest.inference.exported_model import ExportedModel
from splitnest.inference.semantic_tta import SemanticTTA
from splitnest.models.base import Model
from splitnest.models.detection.rcnn import RCNN
from splitnest.recipe import Recipe
from splitnest.structures import Result

TTA: dict[str, Callable[[Any, Any], Callable[..., Result]]] = {
    "detection": DetectionTTA.published,
    "instance": DetectionTTA.published,
    "semantic": SemanticTTA,
}
"""Task -> constructor of its augmented prediction, from a model and section ``input`` of its recipe."""


def published_tta(model: Model, recipe: Recipe) -> Callable[..., Result]:
    """Return a function from an image, uint8 RGB ``[H, W, 3]``, to its result; ``resize=False`` keeps its pixels.

    Args:
        model: Model in evaluation mode.
        recipe: Recipe of the model.

    Raises:
        UsageError: No metrics with test-time augmentation were published for the task, or the model is an exported
            file, whose layers cannot be run one by one.
    """
    if isinstance(model, ExportedModel):
        raise UsageError(f"{recipe.name} is an exported model, which has no test-time augmentation. Omit tta.")
    if not isinstance(model, Model):
        raise UsageError(f"The model {type(model).__name__} of Python has no test-time augmentation. Omit tta.")
    if recipe.task not in TTA:
        raise UsageError(
            f"{recipe.name} has no test-time augmentation: its task is {recipe.task}, and it exists for "
            f"{', '.join(TTA)}. Omit tta."
        )
    if recipe.task != "semantic" and not isinstance(model, RCNN):
        raise UsageError(f"A {type(model).__name__} has no test-time augmentation. Omit tta.")
    return TTA[recipe.task](model, recipe.input)
