"""Initial weights of a training, from a checkpoint or a published model."""

from collections.abc import Sequence
from pathlib import Path

from splitnest import zoo
from splitnest.errors import DamagedError, NotFiniteError, UsageError, WeightsError
from splitnest.inference.resolve import checkpoint_of_run
from splitnest.models.base import Model
from splitnest.models.build import build_model
from splitnest.recipe import Recipe, Weights, required_training
from splitnest.weights import fetch, load
from splitnest.weights.read import split_entry


def load_initial_weights(model: Model, source: str | None, classes: Sequence[str] | None = None) -> str:
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
        return f"initial weights: random, {sum(p.numel() for p in model.parameters()):,} parameters\n"
    path = _checkpoint_path(source)
    try:
        return f"initial weights: whole model\n{load.load(model, path, allow_class_change=True, classes=classes)}\n"
    except (DamagedError, NotFiniteError) as error:
        raise type(error)(f"train.init_from: {error}") from error
    except WeightsError as error:
        misfit = error
    try:
        report = load.load_backbone(model.backbone, path, to_train=True)
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
    if source is None:
        return "random"
    if split_entry(Path(source).expanduser())[0].is_file():
        report = load_initial_weights(build_model(recipe), source, recipe.data.class_names)
        return report.removeprefix("initial weights: ").rstrip()
    _published(source)
    return source


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
