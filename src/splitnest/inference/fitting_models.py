"""Published models that a checkpoint without a recipe fits."""

import re
from collections.abc import Mapping

from torch import Size

from splitnest import zoo
from splitnest.device import on_meta
from splitnest.errors import WeightsError, first_few
from splitnest.models.build import build_model
from splitnest.recipe import BackboneConfig, Recipe
from splitnest.weights.describe import class_layer, describe
from splitnest.weights.key_maps.translate import DETECTOR, translate
from splitnest.weights.read import Checkpoint

COUNTER = "num_batches_tracked"

SOURCES = {"official": ("official", "timm")}
"""Code base by its keys -> endings of the names of its models; otherwise they are equal."""

MAX_LISTED = 8
"""Number of models that a message lists."""


def unknown_model(checkpoint: Checkpoint) -> WeightsError:
    """Return the error of a checkpoint without a recipe, which names the published models that the file fits."""
    path = checkpoint.path
    translation = translate(checkpoint.state.keys())
    shapes = {key: checkpoint.state[source].shape for key, source in translation.sources.items()}
    problem = f"{path} has no recipe, so its model is unknown."
    if translation.unknown or not shapes:
        known = first_few(translation.unknown, 3)
        return WeightsError(
            f"{problem} It fits no published model: tensors such as {known} are in none. If it is a network of the "
            f"family, name its model, and give the file with --weights."
        )
    what = describe(shapes)
    exact, other_classes = fitting_models(shapes, translation.layout)
    if exact:
        return WeightsError(
            f"{problem} Its weights ({what}) fit {first_few(exact, MAX_LISTED)}. Name the one that it was trained as, "
            f"and give the file with --weights {path}."
        )
    if other_classes:
        return WeightsError(
            f"{problem} Its weights ({what}) fit {first_few(other_classes, MAX_LISTED)}, with other classes. Write a "
            f"recipe with one of them as its base and the classes of the file (data.classes), and give the file with "
            f"--weights {path}."
        )
    return WeightsError(
        f"{problem} Its weights ({what}) fit no published model. Write a recipe with the nearest one as its base, and "
        f"give the file with --weights {path}."
    )


def fitting_models(shapes: Mapping[str, Size], layout: str) -> tuple[list[str], list[str]]:
    """Return the names of published models with these tensors, and of those where only the classes differ.

    Models of other code bases are looked at where none of the file's own code base fits.

    Args:
        shapes: Our key -> shape of each tensor.
        layout: Code base of the file.
    """
    candidates = [name for name in zoo.list_models(_task(shapes)) if _may_fit(zoo.get(name), shapes)]
    own = [name for name in candidates if name.rpartition(".")[2] in SOURCES.get(layout, (layout,))]
    for names in (own, [name for name in candidates if name not in own]):
        differing = {name: _differing(zoo.get(name), shapes) for name in names}
        exact = [name for name, layers in differing.items() if layers == []]
        other_classes = [name for name, layers in differing.items() if layers]
        if exact or other_classes:
            return exact, other_classes
    return [], []


def _task(shapes: Mapping[str, Size]) -> str | None:
    """Return the task of a network by the names of its parts; None if it has no head of a task."""
    parts = {key.removeprefix(DETECTOR).partition(".")[0] for key in shapes}
    detector = "instance" if any(".mask_heads." in key for key in shapes) else "detection"
    task_of_part = {
        "semantic_head": "panoptic",
        "roi_heads": detector,
        "decode_head": "semantic",
        "head": "pose",
        "fc": "classification",
    }
    return next((task for part, task in task_of_part.items() if part in parts), None)


def _may_fit(recipe: Recipe, shapes: Mapping[str, Size]) -> bool:
    """Return whether depth and radix of the backbone agree, which is known without building the network."""
    backbone = f"{DETECTOR}backbone." if any(key.startswith(DETECTOR) for key in shapes) else "backbone."
    keys = [key.removeprefix(backbone) for key in shapes if key.startswith(backbone)]
    blocks = {tuple(key.split(".")[:2]) for key in keys if re.match(r"c[2-5]\.\d+\.", key)}
    has_splits = any(".conv2.fc1." in key for key in keys)
    config = recipe.model.backbone
    if not isinstance(config, BackboneConfig):
        return False
    return 3 * len(blocks) + 2 == config.depth and has_splits == (config.radix > 0)


def _differing(recipe: Recipe, shapes: Mapping[str, Size]) -> list[str] | None:
    """Return the class layers of a model whose size differs; None if anything else differs."""
    with on_meta():
        module = build_model(recipe)
    slots = {key: tensor.shape for key, tensor in module.state_dict().items() if not key.endswith(COUNTER)}
    found = {key: shape for key, shape in shapes.items() if not key.endswith(COUNTER)}
    if slots.keys() != found.keys():
        return None
    differing = [key for key, shape in slots.items() if shape != found[key]]
    if all(class_layer(key) is not None and slots[key][1:] == found[key][1:] for key in differing):
        return differing
    return None
