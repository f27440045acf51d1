"""Safe reading of checkpoint files: no code in them is executed.

The container format is detected from the first bytes of a file, never from its name.
"""

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from splitnest.errors import WeightsError, cannot_read
from splitnest.files import open_regular
from splitnest.weights import pickled

Kind = Literal["torch", "safetensors", "pickle"]
"""Container format."""

_ZIP = b"PK\x03\x04"
_LEGACY_TORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""Pickled ``torch.serialization.MAGIC_NUMBER``."""

_PICKLE = (b"\x80", b"(", b"}", b"]", b"c")
"""PROTO opcode, or first opcode of a pickle of protocol 0 or 1."""

_MAX_SAFETENSORS_HEADER = 100_000_000
"""Maximum header size of safetensors in bytes. A file starts with the header size, 8 bytes, and the header in JSON."""

_IGNORED = ("mmengine.logging.history_buffer.HistoryBuffer", "argparse.Namespace")
"""Classes in training checkpoints of mmengine, timm and the official repository whose objects are not needed."""

_WRAPPERS = ("state_dict", "model", "blobs")
"""Keys of the state dict: OpenMMLab, timm and official training; detectron2; Caffe2. Otherwise it is the top level."""

FORMAT = "splitnest"
"""Value of ``format`` in our safetensors metadata and training checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file.

    Attributes:
        path: Path of the file.
        kind: Container format.
        state: State dict on the CPU. Tensors of safetensors files are memory-mapped; copy them to keep them.
        not_tensors: Keys of the state dict whose values are not dense tensors.
        recipe_json: Recipe as JSON (our checkpoints only).
        classes: Class names, from the recipe or from the metadata of OpenMMLab.
    """

    path: Path
    kind: Kind
    state: dict[str, Tensor]
    not_tensors: tuple[str, ...] = ()
    recipe_json: str | None = None
    classes: tuple[str, ...] | None = None


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint: a torch file (zip or legacy), safetensors, or a pickle of numpy arrays.

    Args:
        path: Path of the file.

    Raises:
        WeightsError: The file does not exist, is damaged, is not a checkpoint, has no tensors, or contains code.
    """
    path = Path(path)
    kind = _detect_kind(path)
    try:
        match kind:
            case "torch":
                checkpoint = _unwrap(path, kind, _load_torch(path))
            case "pickle":
                with path.open("rb") as file:
                    checkpoint = _unwrap(path, kind, pickled.load(file))
            case "safetensors":
                checkpoint = _read_safetensors(path)
    except pickled.ForbiddenName as error:
        raise WeightsError(
            f"{path} contains code: it refers to {error}. No code was executed. If you trust the author, save only its "
            f"state dict with the framework that wrote it."
        ) from None
    except Exception as error:  # unpickling of a damaged file raises almost any exception
        reason = re.split(r"\.\s|\n", str(error).strip())[0].rstrip(".") or type(error).__name__
        raise WeightsError(f"{path} is damaged or incomplete ({reason}). Download or save it again.") from error
    if not checkpoint.state:
        raise WeightsError(f"{path} has no named tensors. Give a file with the state dict of the network.")
    return checkpoint


def _detect_kind(path: Path) -> Kind:
    try:
        with open_regular(path) as file:
            head = file.read(64)
    except OSError as error:
        raise WeightsError(cannot_read(path, error, "a checkpoint")) from error
    if head.startswith((_ZIP, _LEGACY_TORCH)):
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_SAFETENSORS_HEADER:
        return "safetensors"
    if head.startswith(_PICKLE):
        return "pickle"
    if not head:
        problem = "is empty. Download it again."
    elif head.startswith(b"version https://git-lfs"):
        problem = "is a Git LFS pointer, not a checkpoint. Run 'git lfs pull' in its repository."
    elif head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        problem = "is a web page, not a checkpoint. Delete it, and download the file."
    else:
        problem = "is not a checkpoint. Give a torch file, a safetensors file, or a pickle of numpy arrays."
    raise WeightsError(f"{path} {problem}")


def _load_torch(path: Path) -> Any:
    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in pickled.STAND_INS.items()]
    stand_ins += [(pickled.Ignored, name) for name in _IGNORED]
    try:
        # With a path instead of a file, torch.load depends on its suffix.
        with torch.serialization.safe_globals(stand_ins), path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if forbidden := re.search(r"GLOBAL (\S+)", str(error)):  # torch has no exception type for it
            raise pickled.ForbiddenName(forbidden[1]) from error
        raise pickle.UnpicklingError(str(error).rpartition("WeightsUnpickler error: ")[2].strip()) from error


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is not iterable
        metadata = file.metadata() or {}
    recipe_json = metadata.get("recipe") if metadata.get("format") == FORMAT else None
    return Checkpoint(path, "safetensors", state, recipe_json=recipe_json, classes=_recipe_classes(recipe_json))


def _unwrap(path: Path, kind: Kind, content: Any) -> Checkpoint:
    if not isinstance(content, dict):
        return Checkpoint(path, kind, {})
    entries = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), dict)), content)
    prefix = "module." if all(str(key).startswith("module.") for key in entries) else ""  # DataParallel
    state: dict[str, Tensor] = {}
    not_tensors = []
    for key in list(entries):
        tensor = _to_tensor(entries.pop(key))  # frees the pickled data once it is converted
        if tensor is None:
            not_tensors.append(str(key))
        else:
            state[str(key).removeprefix(prefix)] = tensor
    recipe = content.get("recipe") if content.get("format") == FORMAT else None
    recipe_json = recipe if isinstance(recipe, str) else None
    classes = _recipe_classes(recipe_json) or _meta_classes(content.get("meta"))
    return Checkpoint(path, kind, state, tuple(not_tensors), recipe_json, classes)


def _to_tensor(value: object) -> Tensor | None:
    if isinstance(value, pickled.Array):
        return value.tensor()
    if isinstance(value, Tensor) and value.layout == torch.strided and not (value.is_quantized or value.is_meta):
        return value.detach()
    return None


def _recipe_classes(recipe_json: str | None) -> tuple[str, ...] | None:
    """Return the class names that a recipe lists; None if it names a class table or is not valid."""
    try:
        names = json.loads(recipe_json or "")["data"]["classes"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # the reader of the recipe reports the error
    return tuple(map(str, names)) if isinstance(names, list) else None


def _meta_classes(meta: object) -> tuple[str, ...] | None:
    """Return the class names in OpenMMLab's ``meta``: ``dataset_meta.classes``, or ``CLASSES`` before 2023."""
    if not isinstance(meta, Mapping):
        return None
    for mapping, name in ((meta.get("dataset_meta"), "classes"), (meta, "CLASSES")):
        names = mapping.get(name) if isinstance(mapping, Mapping) else None
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None
