"""Pretrained backbones, and the published weights of a recipe."""

from collections.abc import Collection
from pathlib import Path

from splitnest import zoo
from splitnest.device import on_meta
from splitnest.errors import UsageError, WeightsError
from splitnest.models.backbones.resnet import STAGES, ResNet, resnet
from splitnest.recipe import Recipe
from splitnest.weights import fetch
from splitnest.weights import load as load_weights

PLAIN_RESNETS = {
    "resnet50": "faster_rcnn_resnet50_fpn_1x_coco.detectron2",
    "resnet101": "faster_rcnn_resnet101_fpn_1x_coco.detectron2",
}
"""Detectors that hold the published plain ResNet backbones, of which there are no classifiers."""


def backbone(name: str, weights: str | Path | None = "auto", out: Collection[str] = STAGES) -> ResNet:
    """Return the backbone of a published model as a module with ``.channels`` and ``.strides`` by feature name.

    It maps normalized images ``[N, 3, H, W]`` to a dictionary of feature maps.

    Args:
        name: Name of a model, such as ``resnest50`` or ``faster_rcnn_resnest50_fpn_1x_coco.mmdet``; ``resnet50`` and
            ``resnet101`` are the plain ResNets of the detectron2 rows. No stage is frozen, whatever the recipe says.
        weights: ``"auto"`` for the published weights, None for random weights, or a checkpoint of any code base.
        out: Names of the returned feature maps among c2, c3, c4 and c5.

    Raises:
        UsageError: There is no such model or feature map.
        WeightsError: The weights cannot be fetched or read, or do not fit.
    """
    if unknown := [o for o in out if o not in STAGES]:
        raise UsageError(f"out holds {unknown[0]!r}. The feature maps of a backbone are {', '.join(STAGES)}.")
    recipe = zoo.get(PLAIN_RESNETS.get(name, name))
    config = recipe.model.backbone.model_copy(update={"frozen_stages": 0})
    if weights is None:
        return resnet(**dict(config), out=out)
    with on_meta():
        module = resnet(**dict(config), out=out)
    path = weights_path(recipe, None) if weights == "auto" else Path(weights)
    load_weights.load_backbone(module, path)
    return module


def weights_path(recipe: Recipe, own_weights: Path | None) -> Path:
    """Return the checkpoint that a model was loaded from, or its published weights, fetched if needed.

    Args:
        recipe: Recipe of the model.
        own_weights: Checkpoint that the recipe was read from; None for a named model or a recipe file.

    Raises:
        WeightsError: The recipe has no published weights, or they cannot be fetched.
    """
    if own_weights is not None:
        return own_weights
    if recipe.weights is None:
        raise WeightsError(
            f"{recipe.name} has no published weights: it is a new recipe, or its classes or network differ from "
            f"those of the published model. Give a checkpoint (weights, --weights), or none for random weights."
        )
    return fetch.fetch(recipe.weights)
