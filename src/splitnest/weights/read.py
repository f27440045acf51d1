"""Safe reading of checkpoint files: no code in them is executed.

The container format is detected from the first bytes of a file, never from its name.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from splitnest.errors import WeightsError, cannot_read, first_few, tell
from splitnest.files import open_regular
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.weights import checksum, mmdet1, torch_file
from splitnest.weights.openmmlab_meta import read_meta
from splitnest.weights.stand_ins import Array, ForbiddenName, Unknown
from splitnest.weights.stored_tensors import StoredTensor
from splitnest.weights.wrappers import ema_copies, unwrapped_keys

Kind = Literal["torch", "safetensors", "pickle"]
"""Container format."""

_ZIP = b"PK\x03\x04"

_PICKLE = (b"\x80", b"(", b"}", b"]", b"c")
"""PROTO opcode, or first opcode of a pickle of protocol 0 or 1."""

_MAX_SAFETENSORS_HEADER = 100_000_000
"""Maximum header size of safetensors in bytes. A file starts with the header size, 8 bytes, and the header in JSON."""

_ENTRIES = ("state_dict", "model", "model_state_dict", "model_state", "module", "net", "blobs")
"""Keys of the state dict: OpenMMLab, timm and official training; detectron2; torch's tutorials; DeepSpeed; Caffe2.
Otherwise it is the top level."""

_EMA_ENTRIES = ("state_dict_ema", "model_ema")
"""Keys of the exponential moving average beside the state dict: timm; torchvision. OpenMMLab's ``ema_state_dict`` is
none: it swaps the two when it saves, so that ``state_dict`` is the average."""

_MAX_ARRAY_RATIO = 4
"""Maximum size of all arrays of a pickle, as a multiple of the size of the file."""

MAX_REASON_CHARACTERS = 200

FORMAT = "splitnest"
"""Value of ``format`` in our safetensors metadata and training checkpoints."""


SCORE_THRESHOLDS = "score_thresholds"
"""Key of the score thresholds in our safetensors metadata and training checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file.

    Attributes:
        path: Path of the file.
        kind: Container format.
        state: State dict on the CPU. Tensors of safetensors files are memory-mapped; copy them to keep them.
        not_tensors: Keys of the state dict whose values are not dense tensors.
        ema_copies: Keys that an EMA keeps beside the weights, which are not in ``state``.
        recipe_json: Recipe as JSON (our checkpoints only).
        classes: Class names, from the recipe or from the metadata of OpenMMLab.
        config: Upstream configuration in Python, from the metadata of OpenMMLab.
        dataset_meta: Further metadata of OpenMMLab about the dataset, as plain values: palette, keypoints.
    """

    path: Path
    kind: Kind
    state: dict[str, Tensor]
    not_tensors: tuple[str, ...] = ()
    ema_copies: tuple[str, ...] = ()
    recipe_json: str | None = None
    classes: tuple[str, ...] | None = None
    config: str | None = None
    dataset_meta: Mapping[str, Any] = field(default_factory=dict)


def read(path: str | Path, *, shapes_only: bool = False) -> Checkpoint:
    """Read a checkpoint: a torch file (zip or legacy), safetensors, or a pickle of numpy arrays.

    Where a file has an exponential moving average beside the raw weights, the average is taken, as timm does, and a
    line on standard error says so. ``FILE#ENTRY`` takes the state dict of another entry.

    Args:
        path: Path of the file, or ``FILE#ENTRY``.
        shapes_only: Whether tensors of torch files and pickles are on the meta device and not read; those of
            safetensors files never are before they are used. There is no line on standard error then.

    Raises:
        DamagedError: The file is a checkpoint of splitnest that does not match its checksum.
        WeightsError: The file does not exist, is damaged, is not a checkpoint, has no tensors, or contains code.
    """
    path, entry = split_entry(path)
    with _opened(path) as (kind, content):
        if kind == "safetensors" and entry is None:
            checkpoint = _from_safetensors(path, content)
        else:
            checkpoint = _unwrap(path, kind, {} if kind == "safetensors" else content, entry, shapes_only)
    if not checkpoint.state:
        raise WeightsError(f"{path} has no named tensors. Give a file with the state dict of the network.")
    return checkpoint


def split_entry(path: str | Path) -> tuple[Path, str | None]:
    """Return the file and the entry of ``FILE#ENTRY``; None as the entry of a path without one, or of such a file."""
    file, sign, entry = str(path).rpartition("#")
    return (Path(file), entry) if sign and not Path(path).exists() else (Path(path), None)


def read_recipe_json(path: str | Path) -> str | None:
    """Return the recipe in a checkpoint of splitnest as JSON, and None for others, such as any pickle of arrays.

    Tensors are not read.

    Raises:
        WeightsError: Same conditions as ``read``, except that there may be no tensors.
    """
    path = Path(path)
    if _detect_kind(path) == "pickle":  # whose arrays would be read
        return None
    with _opened(path) as (kind, content):
        return _recipe_json((content.metadata() or {}) if kind == "safetensors" else content)


def read_score_thresholds(path: str | Path) -> ScoreThresholds | None:
    """Return the best score thresholds in a checkpoint of splitnest; None for others, and for files without them.

    Tensors are not read.

    Raises:
        WeightsError: Same conditions as ``read``, except that there may be no tensors.
    """
    path, _ = split_entry(path)
    if _detect_kind(path) == "pickle":  # whose arrays would be read
        return None
    with _opened(path) as (kind, content):
        return score_thresholds_of((content.metadata() or {}) if kind == "safetensors" else content)


def read_metrics(path: str | Path) -> dict[str, float]:
    """Return the metrics of the best evaluation in a checkpoint of a run, from 0 to 1; none for other files.

    Raises:
        WeightsError: Same conditions as ``read``, except that there may be no tensors.
    """
    path, _ = split_entry(path)
    if _detect_kind(path) != "torch":
        return {}
    with _opened(path) as (_, content):
        metrics = content.get("metrics") if content.get("format") == FORMAT else None
        pairs = metrics.items() if isinstance(metrics, Mapping) else ()
        return {str(name): float(value) for name, value in pairs if isinstance(value, int | float)}


def score_thresholds_of(content: Any) -> ScoreThresholds | None:
    """Return the best score thresholds in a file's content or metadata; None if there are none."""
    is_ours = isinstance(content, Mapping) and content.get("format") == FORMAT
    text = content.get(SCORE_THRESHOLDS) if is_ours else None
    return ScoreThresholds.from_json(text) if isinstance(text, str) else None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Kind, Any]]:
    """Return the container format of a file and its content; errors inside the context are errors of the file."""
    kind = _detect_kind(path)
    try:
        match kind:
            case "torch":
                checksum.verify(path)
                with torch_file.opened(path) as content:
                    yield kind, content
            case "pickle":
                with path.open("rb") as file:
                    yield kind, torch_file.load_pickle(file)
            case "safetensors":
                from safetensors import safe_open

                with safe_open(path, framework="pt") as file:
                    yield kind, file
    except WeightsError:
        raise
    except ForbiddenName as error:
        raise WeightsError(
            f"{path} contains code: it refers to {error}. No code was executed. If you trust the author, save only its "
            f"state dict with the framework that wrote it."
        ) from None
    except torch_file.OtherFileError as error:
        raise WeightsError(f"{path} {error}.") from None
    except Exception as error:  # unpickling of a damaged file raises almost any exception
        raise WeightsError(f"{path} is damaged or incomplete ({_reason(error)}). Download or save it again.") from error


def _reason(error: Exception) -> str:
    """Return why a file cannot be read; errors inside the unpickler say nothing of the file."""
    if isinstance(error, LookupError | TypeError | AttributeError | AssertionError):
        return "its pickle is not valid"
    return re.split(r"\.\s|\n", str(error).strip())[0].rstrip(".")[:MAX_REASON_CHARACTERS] or type(error).__name__


def _detect_kind(path: Path) -> Kind:
    try:
        with open_regular(path) as file:
            head = file.read(512)
    except (OSError, ValueError) as error:  # ValueError: null byte in the path
        raise WeightsError(cannot_read(path, error, "a checkpoint")) from error
    if head.startswith((_ZIP, torch_file.LEGACY_MAGIC)):
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_SAFETENSORS_HEADER:
        return "safetensors"
    if head.startswith(_PICKLE):
        return "pickle"
    raise WeightsError(f"{path} {_other_kind(head)}")


def _other_kind(head: bytes) -> str:
    """Return what a file is that is no checkpoint, by its first bytes, and what to do."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        return "is empty. Download it again."
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not a checkpoint. Run 'git lfs pull' in its repository."
    if b"<net " in text:
        return "is a program of OpenVINO, not a checkpoint. Give the checkpoint that it was exported from."
    if text.startswith(b"<"):
        return "is a web page, not a checkpoint. Delete it, and download the file."
    if head.startswith(b"\x89HDF"):
        return "is an HDF5 file (Keras), not a checkpoint. Models of TensorFlow are not supported."
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd")):
        return "is a compressed archive, not a checkpoint. Unpack it, and give the checkpoint inside."
    if head[257:262] == b"ustar":
        return "is a tar archive, not a checkpoint. Unpack it, and give the checkpoint inside."
    if head.startswith(b"\x08") and re.match(rb"\x08[\x01-\x20](\x12|:)", head):
        return "is an ONNX file, not a checkpoint. Give it in place of the model, without weights."
    return "is not a checkpoint. Give a torch file, a safetensors file, or a pickle of numpy arrays."


def _from_safetensors(path: Path, file: Any) -> Checkpoint:
    state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is not iterable
    recipe_json = _recipe_json(file.metadata() or {})
    classes = _recipe_classes(recipe_json)
    return _checkpoint(path, "safetensors", state, recipe_json=recipe_json, classes=classes)


def _unwrap(path: Path, kind: Kind, content: Any, entry: str | None, shapes_only: bool) -> Checkpoint:
    entries, is_wrapped = _entries(path, content, entry, tells=not shapes_only)
    recipe_json = _recipe_json(content)
    meta = read_meta(content)
    budget, counted = _MAX_ARRAY_RATIO * path.stat().st_size + torch_file.UNPACKED_SLACK_BYTES, set()
    objects: dict[str, Unknown] = {}
    tensors: dict[str, Tensor] = {}
    not_tensors = []
    for key in list(entries):
        value = entries.pop(key)  # frees the pickled data once it is converted
        tensor = value.tensor(shapes_only) if isinstance(value, Array | StoredTensor) else None
        if tensor is not None:
            tensors[str(key)] = tensor
            if not shapes_only:
                storage = tensor.untyped_storage()
                budget -= 0 if storage.data_ptr() in counted else storage.nbytes()
                counted.add(storage.data_ptr())
        else:
            not_tensors.append(str(key))
            if isinstance(value, Unknown):
                objects[str(key)] = value
        if budget < 0:
            raise ValueError("its arrays are larger than the file")
    if objects and (is_wrapped or not tensors):
        raise ForbiddenName(next(iter(objects.values())).name)
    return _checkpoint(
        path,
        kind,
        tensors,
        tells=not shapes_only,
        not_tensors=tuple(not_tensors),
        recipe_json=recipe_json,
        classes=_recipe_classes(recipe_json) or meta.classes,
        config=meta.config,
        dataset_meta=meta.dataset,
    )


def _checkpoint(path: Path, kind: Kind, tensors: dict[str, Tensor], *, tells: bool = True, **facts: Any) -> Checkpoint:
    """Return a checkpoint without the names of wrappers, and without what an EMA keeps beside the weights.

    One of mmdetection 1 has the names and the order of classes of mmdetection 2 afterwards.
    """
    renamed = unwrapped_keys(list(tensors))
    state = {renamed[key]: tensor for key, tensor in tensors.items()}
    copies = ema_copies(list(state))
    for key in copies:
        del state[key]
    if mmdet1.is_version_1(state):
        state = mmdet1.upgraded(state)
        if tells:
            tell(f"note: {path} {mmdet1.NOTE}.")
    return Checkpoint(path, kind, state, ema_copies=tuple(copies), **facts)


def _entries(path: Path, content: Any, entry: str | None, *, tells: bool) -> tuple[dict[Any, Any], bool]:
    """Return the state dict of a file's content, and whether it is an entry of the content."""
    if isinstance(content, Unknown) and not content:
        raise ForbiddenName(content.name)
    content = content if isinstance(content, dict) else {}
    dicts = [str(name) for name in content if isinstance(content[name], dict)]
    if entry is not None and entry not in dicts:
        raise WeightsError(f"{path} has no entry {entry!r}. Its entries are {first_few(dicts, 10) or 'none'}.")
    averages, raw = ([name for name in names if name in dicts] for names in (_EMA_ENTRIES, _ENTRIES))
    names = [entry] if entry is not None else averages + raw
    if not names:
        return content, False
    if tells and entry is None and averages and raw:
        tell(
            f"note: {path}: {averages[0]} is loaded, the exponential moving average of the weights. The raw weights "
            f"are {path}#{raw[0]}."
        )
    entries = content[names[0]]
    if isinstance(entries, Unknown) and not entries:
        raise ForbiddenName(entries.name)
    return entries, True


def _recipe_json(content: Any) -> str | None:
    """Return the recipe in a file's content or metadata as JSON; None if splitnest did not write the file."""
    recipe = content.get("recipe") if isinstance(content, Mapping) and content.get("format") == FORMAT else None
    return recipe if isinstance(recipe, str) else None


def _recipe_classes(recipe_json: str | None) -> tuple[str, ...] | None:
    """Return the class names that a recipe lists; None if it names a class table or is not valid."""
    try:
        names = json.loads(recipe_json or "")["data"]["classes"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # the reader of the recipe reports the error
    return tuple(map(str, names)) if isinstance(names, list) else None
