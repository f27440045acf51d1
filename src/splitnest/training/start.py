"""The weights that a training starts from."""

from collections.abc import Sequence
from pathlib import Path

from splitnest import recipes
from splitnest.errors import UsageError, WeightsError
from splitnest.model import Model
from splitnest.recipe import Weights
from splitnest.weights import fetch, load


def start_weights(model: Model, source: str | None, classes: Sequence[str] | None = None) -> str:
    """Fill a freshly initialised model from a checkpoint, and return in words what became of each tensor.

    All of the file is taken where it is of the same network; layers that are made for other classes keep their initial
    values. Where the whole does not fit, as that of a classifier does not fit a detector, the backbone is taken, and
    that must fit, but for a stem of another width and the offsets of deformable convolutions, which start anew.

    Args:
        model: On a real device.
        source: A checkpoint of any layout, its address, or the name of a published model, whose file is fetched if need
            be; None leaves the model as it is.
        classes: Names of the model's classes; None for those of a named table.

    Raises:
        UsageError: There is no such file and no such model, or the model has no published file.
        WeightsError: The file cannot be had or read, or its backbone is another one.
    """
    if source is None:
        return f"start: random weights, {sum(p.numel() for p in model.parameters()):,} parameters\n"
    path = _path(source)
    try:
        return f"start: the whole model\n{load.load(model, path, allow_class_change=True, classes=classes)}\n"
    except WeightsError as error:
        whole = error
    try:
        report = load.load_backbone(model.get_submodule("backbone"), path, to_train=True)
    except WeightsError as error:
        raise WeightsError(f"train.start, of which at least the backbone must fit: {error}") from error
    reason, _, _ = str(whole).rpartition(". ")  # behind it comes how to mend it
    return f"start: the backbone alone, as the whole does not fit. {reason}.\n{report}\n"


def _path(source: str) -> Path:
    path = Path(source).expanduser()
    if path.is_file():
        return path
    if source.startswith(("https://", "http://")):
        return _fetched(source, Weights(url=source, sha256=None, layout="caffe2"))
    try:
        recipe = recipes.get(source)
    except UsageError as error:
        raise UsageError(f"train.start: {source} is no file, and no model either. {error}") from error
    if recipe.weights is None:
        raise UsageError(f"train.start: {recipe.name} has no published weights. Give a checkpoint.")
    return _fetched(source, recipe.weights)


def _fetched(source: str, weights: Weights) -> Path:
    try:
        return fetch.fetch(weights)
    except WeightsError as error:
        raise WeightsError(
            f"train.start is {source}, to start from its weights (null for random ones). {error}"
        ) from error
