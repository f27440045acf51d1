"""Initial weights of a training, from a checkpoint or a published model."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from splitnest import zoo
from splitnest.distributed import print_once
from splitnest.errors import DamagedError, NotFiniteError, UsageError, WeightsError
from splitnest.inference.resolve import checkpoint_of_run
from splitnest.models.backbones.timm_backbone import TimmBackbone, load_timm_weights
from splitnest.models.build import build_model
from splitnest.recipe import Recipe, TimmBackboneConfig, Weights, required_training
from splitnest.weights import fetch, load
from splitnest.weights.read import split_entry


def initial_weights(model: nn.Module, recipe: Recipe, *, built: bool) -> str:
    """Load the initial weights of a recipe into its model, and return a report.

    Args:
        model: Model with random weights, on a real device.
        recipe: Recipe with a training section.
        built: Whether the model is that of the recipe; one that was given from Python keeps its own weights without
            ``train.init_from``.

    Raises:
        UsageError, WeightsError: Same conditions as ``load_initial_weights``; or timm's weights cannot be fetched.
    """
    source, config = required_training(recipe).init_from, recipe.model.backbone
    if source is None and not built:
        return f"initial weights: those of the given model, {_count(model):,} parameters\n"
    if source is None and isinstance(config, TimmBackboneConfig) and config.pretrained:
        assert isinstance(model.backbone, TimmBackbone)
        load_timm_weights(config.timm, model.backbone.model)
        _compare_statistics(recipe, config.timm)
        return (
            f"initial weights: backbone of timm's {config.timm}, {_count(model.backbone):,} parameters; others random\n"
        )
    return load_initial_weights(model, source, recipe.data.class_names)


def load_initial_weights(model: nn.Module, source: str | None, classes: Sequence[str] | None = None) -> str:
    """Load the initial weights of a training into a model, and return a report.

    The whole checkpoint is loaded if it has the same network; layers for other classes keep their random weights.
    Otherwise, as for a classifier's checkpoint in a detector, the backbone is loaded, and must fit except for a stem of
    another width and the offsets of deformable convolutions, which keep their random weights.

    Args:
        model: Model with random weights, on a real device.
        source: Path or URL of a checkpoint of any code base, ``FILE#ENTRY`` for an entry of it, or name of a published
            model; None keeps random weights.
        classes: Class names of the model; None for those of a class table.

    Raises:
        UsageError: There is no such file and no such model, or the model has no published weights.
        WeightsError: The checkpoint cannot be fetched or read, or has another backbone.
    """
    if source is None:
        return f"initial weights: random, {_count(model):,} parameters\n"
    path = _checkpoint_path(source)
    try:
        return f"initial weights: whole model\n{load.load(model, path, allow_class_change=True, classes=classes)}\n"
    except (DamagedError, NotFiniteError) as error:
        raise type(error)(f"train.init_from: {error}") from error
    except WeightsError as error:
        misfit = error
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise WeightsError(
            f"train.init_from: {misfit} Or keep the model's own weights (train.init_from=null)."
        ) from misfit
    try:
        report = load.load_backbone(backbone, path, to_train=True)
    except WeightsError as error:
        raise WeightsError(f"train.init_from: at least the backbone must fit. {error}") from error
    reason, _, _ = str(misfit).rpartition(". ")  # without the advice
    return f"initial weights: backbone only, as the whole model does not fit. {reason}.\n{report}\n"


def check_initial_weights(recipe: Recipe) -> str:
    """Return a description of the initial weights of a recipe. A file is loaded, published weights are not fetched.

    Raises:
        UsageError, WeightsError: Same conditions as ``load_initial_weights``, without a fetch.
    """
    source = required_training(recipe).init_from
    backbone = recipe.model.backbone
    if source is None:
        is_pretrained = isinstance(backbone, TimmBackboneConfig) and backbone.pretrained
        return "backbone of timm, others random" if is_pretrained else "random"
    if split_entry(Path(source).expanduser())[0].is_file():
        report = load_initial_weights(build_model(recipe), source, recipe.data.class_names)
        return report.removeprefix("initial weights: ").rstrip()
    _published(source)
    return source


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _compare_statistics(recipe: Recipe, name: str) -> None:
    """Print a note if timm's weights expect other pixel statistics than those of a recipe."""
    import timm

    expected, given = timm.get_pretrained_cfg(name), recipe.input
    for key in ("mean", "std"):
        values = [value / given.pixel_range for value in getattr(given, key)]
        values = values[::-1] if given.channels == "BGR" else values
        if max(abs(a - b) for a, b in zip(values, getattr(expected, key), strict=True)) > 0.01:
            wanted = [round(value * 255, 3) for value in getattr(expected, key)]
            print_once(
                f"note: the weights of timm's {name} expect input.{key}={wanted} with input.channels=RGB and "
                f"input.pixel_range=255"
            )


def _checkpoint_path(source: str) -> Path:
    path = Path(checkpoint_of_run(Path(source).expanduser()))
    if split_entry(path)[0].is_file():
        return path
    entry = "".join(source.partition("#")[1:])  # which of a file's models: url#entry
    return Path(f"{_fetch(source, _published(source))}{entry}")


def _published(source: str) -> Weights:
    """Return the weights of a URL or of a published model."""
    if source.startswith(("https://", "http://")):
        return Weights(url=source.partition("#")[0])
    try:
        recipe = zoo.get(source)
    except UsageError as error:
        raise UsageError(f"train.init_from: {source} is neither a file nor a model. {error}") from error
    if recipe.weights is None:
        raise UsageError(f"train.init_from: {recipe.name} has no published weights. Give a checkpoint.")
    return recipe.weights


def _fetch(source: str, weights: Weights) -> Path:
    try:
        return fetch.fetch(weights)
    except WeightsError as error:
        raise WeightsError(f"train.init_from={source} (null for random weights): {error}") from error
