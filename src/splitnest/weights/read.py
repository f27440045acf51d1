"""Safe reading of checkpoint files: no code in them is executed.

The container format is detected from the first bytes of a file, never from its name.
"""

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from splitnest.errors import WeightsError
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

_CONFIG_KEYS = ("cfg", "config")
"""Keys of the configuration in OpenMMLab's ``meta``: mmengine, and mmcv before."""

_IGNORED = ("mmengine.logging.history_buffer.HistoryBuffer", "argparse.Namespace")
"""Classes in training checkpoints of mmengine, timm and the official repository whose objects are not needed."""

_MAPPED_SUFFIXES = (".pth", ".pt", ".pkl")
"""File name endings with which torch maps a file into memory."""

_MAX_VALUES = 100_000
"""Maximum number of values in the metadata of a dataset."""

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
        config: Upstream configuration in Python, from the metadata of OpenMMLab.
        dataset_meta: Further metadata of OpenMMLab about the dataset, as plain values: palette, keypoints.
    """

    path: Path
    kind: Kind
    state: dict[str, Tensor]
    not_tensors: tuple[str, ...] = ()
    recipe_json: str | None = None
    classes: tuple[str, ...] | None = None
    config: str | None = None
    dataset_meta: Mapping[str, Any] = field(default_factory=dict)


def read(path: str | Path, *, mapped: bool = False) -> Checkpoint:
    """Read a checkpoint: a torch file (zip or legacy), safetensors, or a pickle of numpy arrays.

    Args:
        path: Path of the file.
        mapped: Whether tensors of a torch file may be memory-mapped, so that metadata and shapes are read without them.

    Raises:
        WeightsError: The file does not exist, is damaged, is not a checkpoint, has no tensors, or contains code.
    """
    path = Path(path)
    kind = _detect_kind(path)
    try:
        match kind:
            case "torch":
                checkpoint = _unwrap(path, kind, _load_torch(path, mapped))
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
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
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


def _load_torch(path: Path, mapped: bool) -> Any:
    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in pickled.STAND_INS.items()]
    stand_ins += [(pickled.Ignored, name) for name in _IGNORED]
    try:
        with torch.serialization.safe_globals(stand_ins), path.open("rb") as file:
            if mapped and file.read(len(_ZIP)) == _ZIP and path.suffix in _MAPPED_SUFFIXES:
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            file.seek(0)  # with a path instead of a file, torch.load depends on its suffix
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
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    classes = _recipe_classes(recipe_json) or _meta_classes(meta)
    config = next((meta[key] for key in _CONFIG_KEYS if isinstance(meta.get(key), str)), None)
    return Checkpoint(path, kind, state, tuple(not_tensors), recipe_json, classes, config, _dataset_meta(meta))


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


def _dataset_meta(meta: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the metadata of the dataset as plain values: ``dataset_meta``, or ``PALETTE`` before 2023."""
    own = meta.get("dataset_meta")
    found = (
        own if isinstance(own, Mapping) else {"palette": meta.get("PALETTE"), "dataset_info": meta.get("dataset_info")}
    )
    budget = [_MAX_VALUES]
    return {str(key): value for key, item in found.items() if (value := _plain(item, budget)) is not None}


def _plain(value: object, budget: list[int], depth: int = 0) -> Any:
    """Return containers of plain values, with lists for arrays; None for anything else, and beyond the budget."""
    budget[0] -= 1
    if budget[0] < 0 or depth > 10:
        return None
    if isinstance(value, pickled.Array):
        value = value.tensor()
    if isinstance(value, Tensor):
        budget[0] -= value.numel()
        return value.tolist() if budget[0] >= 0 else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item, budget, depth + 1) for item in value]
    return value if isinstance(value, str | bool | int | float) else None


def _meta_classes(meta: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """Return the class names in OpenMMLab's ``meta``: ``dataset_meta.classes``, or ``CLASSES`` before 2023."""
    for mapping, name in ((meta.get("dataset_meta"), "classes"), (meta, "CLASSES")):
        names = mapping.get(name) if isinstance(mapping, Mapping) else None
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None
