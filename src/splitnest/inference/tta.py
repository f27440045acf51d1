"""Test-time augmentation of a model by the protocol that its numbers were published with."""

from collections.abc import Callable

from splitnest.detection.rcnn import RCNN
from splitnest.errors import UsageError
from splitnest.inference.detection import LONG_SIDE, SHORT_SIDES, DetectionTTA
from splitnest.inference.semantic import SemanticTTA
from splitnest.model import Model
from splitnest.recipe import DetectionInput, Recipe, SemanticInput
from splitnest.results import Result
from splitnest.segmentation.segmentor import Segmentor

PUBLISHED_SHORT_SIDE = 800
"""Short side of a detector's input that the sizes of its published views belong to."""


def augmented(model: Model, recipe: Recipe) -> Callable[..., Result]:
    """Return what gives the result of a photograph, uint8 RGB ``[H, W, 3]``, with ``resize=False`` of its very pixels.

    Of a detector with another short side than the published 800, views are larger or smaller in proportion.

    Args:
        model: In evaluation mode.
        recipe: Of the model.

    Raises:
        UsageError: Its task has no such protocol: classification, or panoptic, whose published numbers are without.
    """
    match recipe.input:
        case DetectionInput() as facts if recipe.task != "panoptic":
            assert isinstance(model, RCNN)
            scale = facts.short_side / PUBLISHED_SHORT_SIDE
            return DetectionTTA(model, facts, [round(side * scale) for side in SHORT_SIDES], round(LONG_SIDE * scale))
        case SemanticInput() as facts:
            assert isinstance(model, Segmentor)
            return SemanticTTA(model, facts)
    raise UsageError(
        f"{recipe.name} has no test-time augmentation: that is for detection, instance and semantic segmentation, "
        f"and this is a model for {recipe.task}. Leave tta out."
    )
