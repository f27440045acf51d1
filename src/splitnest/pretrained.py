"""Published weights, and the backbones in them."""

from collections.abc import Sequence
from pathlib import Path

from splitnest import recipes
from splitnest.backbones.resnet import STAGES, ResNet
from splitnest.build import build_backbone
from splitnest.device import on_meta
from splitnest.errors import UsageError, WeightsError
from splitnest.recipe import Recipe
from splitnest.weights import fetch
from splitnest.weights import load as load_weights

PLAIN_RESNETS = {
    "resnet50": "faster_rcnn_resnet50_fpn_1x_coco.detectron2",
    "resnet101": "faster_rcnn_resnet101_fpn_1x_coco.detectron2",
}
"""Detectors whose backbones are the published plain ResNets: there is no classifier of them."""


def backbone(name: str, weights: str | Path | None = "auto", out: Sequence[str] = STAGES) -> ResNet:
    """Return the backbone of a published model, with ``.channels`` and ``.strides`` by map name.

    It maps normalised images ``[N, 3, H, W]`` to a dictionary of the maps ``out``.

    Args:
        name: A model, such as ``resnest50``; of a detector, such as ``faster_rcnn_resnet50_fpn_1x_coco``, the backbone
            is taken; ``resnet50`` and ``resnet101`` are those of the plain detectors. No stage of it is frozen,
            whatever the recipe says.
        weights: ``"auto"`` takes the published file, None initialises anew, a path is read whatever its layout.
        out: Which of c2, c3, c4 and c5.

    Raises:
        UsageError: No such model or map.
        WeightsError: The weights cannot be had, read, or do not fit.
    """
    if unknown := [o for o in out if o not in STAGES]:
        raise UsageError(f"out holds {unknown[0]!r}, but the maps of a backbone are {', '.join(STAGES)}.")
    recipe = recipes.get(PLAIN_RESNETS.get(name, name))
    facts = recipe.model.backbone.model_copy(update={"frozen_stages": 0})
    if weights is None:
        return build_backbone(facts, out)
    with on_meta():
        module = build_backbone(facts, out)
    path = weights_path(recipe, None) if weights == "auto" else Path(weights)
    load_weights.load_backbone(module, path)
    return module


def weights_path(recipe: Recipe, own: Path | None) -> Path:
    """Return ``own``, or else the published file of a model, fetched where it is not here yet.

    Raises:
        WeightsError: It has none, or it cannot be had.
    """
    if own is not None:
        return own
    if recipe.weights is None:
        raise WeightsError(f"{recipe.name} has no published weights. Give a file, or None to initialise it anew.")
    return fetch.fetch(recipe.weights)
