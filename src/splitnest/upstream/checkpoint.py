"""Recipe of a checkpoint of another code base: from its own configuration, a given one, or its tensors."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from torch import Size

from splitnest import zoo
from splitnest.device import on_meta
from splitnest.errors import UsageError, WeightsError, first_few
from splitnest.models.build import build_model
from splitnest.recipe import Recipe
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import Derived, derive
from splitnest.upstream.files import YAML_SUFFIXES, read_file, read_text
from splitnest.weights.describe import class_layer, describe
from splitnest.weights.key_maps.translate import translate
from splitnest.weights.read import Checkpoint

BESIDE = "config.yaml"
"""Configuration that detectron2 writes beside its checkpoints."""

_COMMON_NAMES = ("model.safetensors",)
"""File names that do not tell a model."""

MAX_CANDIDATES = 30
"""Number of published networks that are compared with the tensors of a checkpoint."""


def derive_from_checkpoint(checkpoint: Checkpoint, config: Path | None = None) -> Derived:
    """Return the recipe of a checkpoint that has none of ours.

    Args:
        checkpoint: Checkpoint.
        config: Configuration; None uses the row of the published file with this name, the configuration in OpenMMLab's
            metadata, or detectron2's ``config.yaml`` beside the file.

    Raises:
        UsageError: The configuration is not valid, or its model none of the family.
        WeightsError: There is no configuration; the message proposes published models that the tensors fit.
    """
    path = checkpoint.path
    if config is not None:
        return derive_from_file(config, checkpoint)
    if (name := _published_name(path)) is not None:
        return Derived(zoo.get(name), zoo.source_of(name), (f"configuration: that of {name}, by the name of the file",))
    if checkpoint.config is not None:
        values = read_text(checkpoint.config, f"{path} (its configuration)")
        found = derive(values, path.stem, str(path), _metadata(checkpoint))
        return replace(found, notes=("configuration: in the file", *found.notes))
    beside = path.parent / BESIDE
    if beside.is_file():
        return derive_from_file(beside, checkpoint)
    raise WeightsError(_proposal(checkpoint))


def derive_from_file(config: Path, checkpoint: Checkpoint | None = None) -> Derived:
    """Return the recipe of a configuration file, and of a checkpoint that belongs to it.

    Raises:
        UsageError: The file cannot be read, or its model is none of the family.
    """
    name = config.stem if checkpoint is None else checkpoint.path.stem
    metadata = Metadata() if checkpoint is None else _metadata(checkpoint)
    found = derive(read_file(config), name, str(config), metadata)
    return replace(found, notes=(f"configuration: {config}", *found.notes))


def is_upstream_file(path: Path) -> bool:
    """Return whether a YAML file is a configuration of detectron2; a Python file is one of OpenMMLab.

    Raises:
        UsageError: The file cannot be read.
    """
    if path.suffix not in YAML_SUFFIXES:
        return path.suffix == ".py"
    try:
        with path.open(encoding="utf-8") as file:
            return any(line.startswith(("MODEL:", "_BASE_:")) for line in file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError:
        return False  # the reader of recipes reports it


def _metadata(checkpoint: Checkpoint) -> Metadata:
    meta = dict(checkpoint.dataset_meta)
    info = meta.pop("dataset_info", None)
    return Metadata(checkpoint.classes, meta.get("palette"), info if isinstance(info, dict) else meta)


def _published_name(path: Path) -> str | None:
    """Return the name of the published model whose file has this name, which includes digits of its checksum."""
    for name in zoo.TASK_OF:
        url = zoo.published(name).url
        if unquote(urlsplit(url).path).rsplit("/", 1)[-1] == path.name and path.name not in _COMMON_NAMES:
            return name
    return None


def _proposal(checkpoint: Checkpoint) -> str:
    """Return a message for a checkpoint without configuration: what its tensors are, and which models they fit."""
    path = checkpoint.path
    layout, shapes = _shapes(checkpoint)
    head = f"{path} has neither a recipe nor a configuration"
    fitting = list(fitting_models(checkpoint))
    if not fitting:
        return f"{head}, and its tensors fit no published model. Give its configuration with --config."
    return (
        f"{head}. Its tensors, in the layout of {layout}, are {describe(shapes)}, and fit {first_few(fitting, 3)}. "
        f"Shapes do not tell pixel statistics, strides and thresholds: give its configuration with --config, or "
        f"confirm a model with --model {fitting[0]}."
    )


def _shapes(checkpoint: Checkpoint) -> tuple[str, dict[str, Size]]:
    """Return the code base of a checkpoint, and the shapes of its tensors by our keys; empty for an unknown network."""
    translation = translate(checkpoint.state.keys())
    if translation.unknown:
        return translation.layout, {}
    return translation.layout, {key: checkpoint.state[source].shape for key, source in translation.sources.items()}


def fitting_models(checkpoint: Checkpoint) -> Iterator[str]:
    """Yield published models that fit the tensors of a checkpoint, whatever the number of classes."""
    layout, shapes = _shapes(checkpoint)
    backbone = next((part for part in describe(shapes).split(", ") if part.startswith("ResNe")), "")
    known: dict[str, bool] = {}
    for name in zoo.TASK_OF if backbone else ():
        is_near = zoo.backbone_of(name).replace("ResNeXt", "ResNet").startswith(backbone)
        if zoo.source_of(name) != layout or not is_near:
            continue
        recipe = zoo.get(name)
        network = recipe.model.model_dump_json(exclude=set(getattr(recipe.model, "not_architecture", ())))
        if network not in known and len(known) < MAX_CANDIDATES:
            known[network] = _fits(recipe, shapes)
        if known.get(network, False):
            yield name


def _fits(recipe: Recipe, shapes: dict[str, Size]) -> bool:
    """Return whether a network has tensors of these shapes, apart from the number of classes."""
    with on_meta():
        own = {key: value.shape for key, value in build_model(recipe).state_dict().items()}
    tensors = {key for key in own if not key.endswith("num_batches_tracked")}
    if tensors != {key for key in shapes if not key.endswith("num_batches_tracked")}:
        return False
    return all(own[key] == shapes[key] or class_layer(key) is not None for key in tensors)
