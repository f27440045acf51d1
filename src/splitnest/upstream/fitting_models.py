"""Published models that a checkpoint without recipe and configuration fits."""

from collections.abc import Mapping, Sequence

from torch import Size

from splitnest import zoo
from splitnest.device import on_meta
from splitnest.errors import WeightsError, first_few
from splitnest.models.build import build_model
from splitnest.recipe import Recipe
from splitnest.weights.describe import class_layer, describe
from splitnest.weights.key_maps.translate import DETECTOR, translate
from splitnest.weights.read import Checkpoint

COUNTER = "num_batches_tracked"

SOURCES = {"official": ("official", "timm")}
"""Code base by its keys -> sources of its models; otherwise they are equal."""

MAX_LISTED = 8
"""Number of models that a message lists."""


def unknown_model(checkpoint: Checkpoint) -> WeightsError:
    """Return the error of a checkpoint without recipe and configuration, which proposes the models that it fits."""
    translation = translate(checkpoint.state.keys())
    shapes = {key: checkpoint.state[source].shape for key, source in translation.sources.items()}
    problem = f"{checkpoint.path} has neither a recipe nor a configuration, so its model is unknown."
    if translation.unknown or not shapes:
        known = first_few(translation.unknown, 3)
        return WeightsError(
            f"{problem} It fits no published model: tensors such as {known} are in none. If it is a network of the "
            f"family, give its configuration with --config, or name its model with --model."
        )
    what = f"{describe(shapes)}, in the layout of {translation.layout}"
    exact, other_classes = fitting_models(shapes, translation.layout)
    if exact:
        return WeightsError(
            f"{problem} Its tensors ({what}) fit {first_few(exact, MAX_LISTED)}. Shapes do not tell pixel statistics, "
            f"strides and thresholds: give its configuration with --config, or confirm a model with --model {exact[0]}."
        )
    if other_classes:
        return WeightsError(
            f"{problem} Its tensors ({what}) fit {first_few(other_classes, MAX_LISTED)}, with other classes. Give its "
            f"configuration with --config; or write a recipe with one of them as its base and the classes of the file "
            f"(data.classes), and give that with --model."
        )
    return WeightsError(
        f"{problem} Its tensors ({what}) fit no published model. Give its configuration with --config; or write a "
        f"recipe with the nearest one as its base, and give that with --model."
    )


def fitting_models(shapes: Mapping[str, Size], layout: str) -> tuple[list[str], list[str]]:
    """Return the names of published models with these tensors, and of those where only the classes differ.

    Models of other code bases are looked at where none of the file's own code base fits.

    Args:
        shapes: Our key -> shape of each tensor.
        layout: Code base of the file.
    """
    task, backbone = _task(shapes), _backbone(shapes)
    if task is None or backbone is None:
        return [], []
    candidates = [name for name in zoo.list_models(task) if _plain(zoo.backbone_of(name)).startswith(backbone)]
    own = [name for name in candidates if zoo.source_of(name) in SOURCES.get(layout, (layout,))]
    for names in (own, [name for name in candidates if name not in own]):
        exact, other_classes = _compare(names, shapes)
        if exact or other_classes:
            return exact, other_classes
    return [], []


def _compare(names: Sequence[str], shapes: Mapping[str, Size]) -> tuple[list[str], list[str]]:
    """Return the models with these tensors, and those where only the classes differ; equal networks are built once."""
    exact: list[str] = []
    other_classes: list[str] = []
    differing: dict[str, list[str] | None] = {}
    for name in names:
        recipe = zoo.get(name)
        network = recipe.model.model_dump_json(exclude=set(getattr(recipe.model, "not_architecture", ())))
        network += f"{recipe.num_classes} {recipe.data.num_stuff} {getattr(recipe.data, 'keypoints', '')}"
        if network not in differing:
            differing[network] = _differing(recipe, shapes)
        layers = differing[network]
        if layers is not None:
            (other_classes if layers else exact).append(name)
    return exact, other_classes


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


def _backbone(shapes: Mapping[str, Size]) -> str | None:
    """Return family and depth of a backbone, such as ``ResNet-50``, also of a ResNeXt; None for no backbone."""
    return next((_plain(part) for part in describe(shapes).split(", ") if part.startswith("ResNe")), None)


def _plain(backbone: str) -> str:
    return backbone.replace("ResNeXt", "ResNet")


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
