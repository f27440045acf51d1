"""Checkpoint files: what is in them, without running any of it.

The kind of a file is told from its first bytes, never from its name.
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

from splitnest.errors import WeightsError
from splitnest.weights import pickled

Kind = Literal["torch", "safetensors", "pickle"]

_ZIP = b"PK\x03\x04"
_LEGACY_TORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""``torch.serialization.MAGIC_NUMBER``, pickled."""

_PICKLE = (b"\x80", b"(", b"}", b"]", b"c")  # PROTO, or the first opcode of a pickle of protocol 0 or 1

_SAFETENSORS_HEADER = 100_000_000
"""Largest header that safetensors reads; its length is the first 8 bytes of a file, then comes JSON."""

_IGNORED = ("mmengine.logging.history_buffer.HistoryBuffer", "argparse.Namespace")
"""Classes in the training checkpoints of mmengine, timm and the official repository that hold nothing of interest."""

_WRAPPERS = ("state_dict", "model", "blobs")
"""Where the state is: OpenMMLab, timm and official training; detectron2; Caffe2. Otherwise it is the file itself."""

FORMAT = "splitnest"
"""Value of ``format`` in the metadata of our own safetensors, and in our training checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        path: The file.
        kind: Its container.
        state: Its tensors by key, on the CPU. Those of safetensors are mapped from the file: copy them to keep them.
        not_tensors: Other entries among them.
        recipe_json: The recipe that our own checkpoints carry.
        classes: Class names, where OpenMMLab wrote them, or our own recipe lists them.
    """

    path: Path
    kind: Kind
    state: dict[str, Tensor]
    not_tensors: tuple[str, ...] = ()
    recipe_json: str | None = None
    classes: tuple[str, ...] | None = None


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint: torch (zip or legacy), safetensors, or a pickle of numpy arrays.

    Raises:
        WeightsError: The file is missing, cut short, no checkpoint, without tensors, or a pickle that asks for code.
    """
    path = Path(path)
    kind = _kind(path)
    try:
        match kind:
            case "torch":
                checkpoint = _unwrapped(path, kind, _load_torch(path))
            case "pickle":
                with path.open("rb") as file:
                    checkpoint = _unwrapped(path, kind, pickled.load(file))
            case "safetensors":
                checkpoint = _read_safetensors(path)
    except pickled.ForbiddenName as error:
        raise WeightsError(
            f"{path} holds code: it asks for {error}. Nothing of it was run. If you trust who made it, save its "
            f"state dict alone with the framework that it came from."
        ) from None
    except Exception as error:  # a damaged file makes an unpickler raise nearly anything
        reason = re.split(r"\.\s|\n", str(error).strip())[0].rstrip(".") or type(error).__name__
        raise WeightsError(f"{path} is cut short or damaged ({reason}). Fetch or save it again.") from error
    if not checkpoint.state:
        raise WeightsError(f"{path} holds no tensors under names. Give the file with the state dict of the network.")
    return checkpoint


def _kind(path: Path) -> Kind:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    if head.startswith((_ZIP, _LEGACY_TORCH)):
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _SAFETENSORS_HEADER:
        return "safetensors"
    if head.startswith(_PICKLE):
        return "pickle"
    if not head:
        problem = "is empty. Fetch it again."
    elif head.startswith(b"version https://git-lfs"):
        problem = "is a git-lfs pointer, not the file that it stands for. Run 'git lfs pull' where it came from."
    elif head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        problem = "is a web page, not a checkpoint. Delete it and fetch the file itself."
    else:
        problem = "is no checkpoint: neither a torch file, nor safetensors, nor a pickle of arrays."
    raise WeightsError(f"{path} {problem}")


def _load_torch(path: Path) -> Any:
    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in pickled.STAND_INS.items()]
    stand_ins += [(pickled.Ignored, name) for name in _IGNORED]
    try:
        with torch.serialization.safe_globals(stand_ins), path.open("rb") as file:  # of a path torch heeds the suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if forbidden := re.search(r"GLOBAL (\S+)", str(error)):  # torch gives no type or field to tell it by
            raise pickled.ForbiddenName(forbidden[1]) from error
        raise pickle.UnpicklingError(str(error).rpartition("WeightsUnpickler error: ")[2].strip()) from error


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # not a mapping
        metadata = file.metadata() or {}
    recipe_json = metadata.get("recipe") if metadata.get("format") == FORMAT else None
    return Checkpoint(path, "safetensors", state, recipe_json=recipe_json, classes=_listed_classes(recipe_json))


def _unwrapped(path: Path, kind: Kind, content: Any) -> Checkpoint:
    if not isinstance(content, dict):
        return Checkpoint(path, kind, {})
    entries = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), dict)), content)
    prefix = "module." if all(str(key).startswith("module.") for key in entries) else ""  # DataParallel's
    state: dict[str, Tensor] = {}
    not_tensors = []
    for key in list(entries):
        tensor = _tensor(entries.pop(key))  # what a pickle held is freed as its tensor is made
        if tensor is None:
            not_tensors.append(str(key))
        else:
            state[str(key).removeprefix(prefix)] = tensor
    recipe = content.get("recipe") if content.get("format") == FORMAT else None
    recipe_json = recipe if isinstance(recipe, str) else None
    classes = _listed_classes(recipe_json) or _classes(content.get("meta"))
    return Checkpoint(path, kind, state, tuple(not_tensors), recipe_json, classes)


def _tensor(value: object) -> Tensor | None:
    if isinstance(value, pickled.Array):
        return value.tensor()
    if isinstance(value, Tensor) and value.layout == torch.strided and not (value.is_quantized or value.is_meta):
        return value.detach()
    return None


def _listed_classes(recipe_json: str | None) -> tuple[str, ...] | None:
    """The classes that a recipe lists, if it is sound and does not name a table of them."""
    try:
        names = json.loads(recipe_json or "")["data"]["classes"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # who reads the recipe says what is wrong with it
    return tuple(map(str, names)) if isinstance(names, list) else None


def _classes(meta: object) -> tuple[str, ...] | None:
    """The class names in the ``meta`` of OpenMMLab: ``dataset_meta.classes`` since 2023, before it ``CLASSES``."""
    if not isinstance(meta, Mapping):
        return None
    for holder, name in ((meta.get("dataset_meta"), "classes"), (meta, "CLASSES")):
        names = holder.get(name) if isinstance(holder, Mapping) else None
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None
