"""Recipe of a checkpoint of another code base: from its own configuration, a given one, or its tensors."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from splitnest import zoo
from splitnest.errors import UsageError, cannot_read
from splitnest.files import open_text
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import Derived, derive
from splitnest.upstream.files import YAML_SUFFIXES, read_file, read_text
from splitnest.upstream.fitting_models import unknown_model
from splitnest.weights.read import Checkpoint

BESIDE = "config.yaml"
"""Configuration that detectron2 writes beside its checkpoints."""

_COMMON_NAMES = ("model.safetensors",)
"""File names that do not tell a model."""


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
        found = derive(values, path.stem, str(path), metadata_of(checkpoint))
        return replace(found, notes=("configuration: in the file", *found.notes))
    beside = path.parent / BESIDE
    if beside.is_file():
        return derive_from_file(beside, checkpoint)
    raise unknown_model(checkpoint)


def derive_from_file(config: Path, checkpoint: Checkpoint | None = None) -> Derived:
    """Return the recipe of a configuration file, and of a checkpoint that belongs to it.

    Raises:
        UsageError: The file cannot be read, or its model is none of the family.
    """
    name = config.stem if checkpoint is None else checkpoint.path.stem
    metadata = Metadata() if checkpoint is None else metadata_of(checkpoint)
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
        with open_text(path) as file:
            return any(line.startswith(("MODEL:", "_BASE_:")) for line in file)
    except OSError as error:
        raise UsageError(cannot_read(path, error, "a configuration")) from error
    except UnicodeDecodeError:
        return False  # the reader of recipes reports it


def metadata_of(checkpoint: Checkpoint) -> Metadata:
    """Return what the metadata of a checkpoint says of its classes and keypoints."""
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
