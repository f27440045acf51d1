"""Fingerprint of a scan: everything that its results depend on besides the images."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from splitnest._version import __version__
from splitnest.errors import DataError, UsageError, cannot_read, printable
from splitnest.files import open_regular
from splitnest.inference.exported_model import ExportedModel
from splitnest.inference.person_boxes import WHOLE_IMAGE
from splitnest.inference.predictor import Predictor
from splitnest.recipe import Recipe
from splitnest.scanning.options import ModelSource, ScanOptions
from splitnest.scanning.shards import Sources

PACKAGES = ("torch", "torchvision", "numpy", "pillow")
"""Packages whose version may change results: layers, resizing and decoding."""

MAX_SHOWN = 60
"""Maximum length of a value in the message on different fingerprints."""


def fingerprint(
    predictor: Predictor,
    detector: Predictor | None,
    source: ModelSource,
    options: ScanOptions,
    sources: Sources,
) -> dict[str, Any]:
    """Return the fingerprint of a scan as JSON values.

    Args:
        predictor: Model that was not used yet.
        detector: Detector of the persons; None for none.
        source: Name and type of the model.
        options: Options of the scan.
        sources: Images.
    """
    is_file = source.boxes not in (None, WHOLE_IMAGE)
    return {
        "weights": _weights_hash(predictor, source.name),
        "detector": None if detector is None else _weights_hash(detector, str(source.detector)),
        "recipe": recipe_fields(predictor.recipe),
        "boxes": _file_hash(str(source.boxes), "a file of person boxes") if is_file else source.boxes,
        "fast": source.fast,
        "precision": source.precision,
        "options": options.to_dict(),
        "sources": {
            "addresses": list(sources.addresses),
            "shard_size": sources.shard_size,
            "image_column": sources.image_column,
            "key_column": sources.key_column,
        },
        "device": predictor.device.type,
        "versions": {"splitnest": __version__, **{name: version(name) for name in PACKAGES}},
    }


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of a recipe that its results depend on, as JSON values."""
    fields = recipe.model_dump(mode="json")
    kept = {key: value for key, value in fields.items() if key not in ("train", "weights", "published", "name")}
    kept["data"] = {key: fields["data"][key] for key in ("classes", "stuff", "keypoints") if key in fields["data"]}
    return kept


def different_keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the keys in which two fingerprints differ, each with both values where they are short."""
    flat_one, flat_other = dict(_flat(one)), dict(_flat(other))
    keys = [key for key in {**flat_one, **flat_other} if flat_one.get(key) != flat_other.get(key)]
    return [f"{key} ({_shown(flat_one.get(key))}, not {_shown(flat_other.get(key))})" for key in keys]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: object) -> str:
    text = printable(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _weights_hash(predictor: Predictor, name: str) -> str:
    """Return the SHA-256 of the weights of a model: of its tensors, or of the file of an exported model."""
    if isinstance(predictor.module, ExportedModel):
        return _file_hash(name, "an exported model")
    return state_hash(predictor.module)


def state_hash(module: nn.Module) -> str:
    """Return the SHA-256 of the names, types, shapes and values of a network's tensors."""
    digest = hashlib.sha256()
    for key, tensor in sorted(module.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            raise UsageError(f"The network has the state {key}, which is no tensor. Give the path of a checkpoint.")
        digest.update(f"{key} {tensor.dtype} {list(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous()
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data if values.numel() else b"")
    return digest.hexdigest()


def _file_hash(path: str, expected: str) -> str:
    try:
        with open_regular(Path(path)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except OSError as error:
        raise DataError(cannot_read(path, error, expected)) from error
