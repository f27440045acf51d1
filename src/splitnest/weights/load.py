"""Loading of a checkpoint into a network: everything or nothing, with a report for each tensor."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from splitnest.errors import NotFiniteError, WeightsError, first_few
from splitnest.recipe.file_data import normalized_class_name
from splitnest.weights.describe import class_layer, describe, num_classes
from splitnest.weights.key_maps.translate import DETECTOR, Translation, translate
from splitnest.weights.read import Checkpoint, read
from splitnest.weights.report import Report, group

BACKBONE = "backbone."
COUNTER = ".num_batches_tracked"

MAX_LISTED = 3
"""Number of keys of a kind that a message lists."""

_OFFSETS = re.compile(r"c[2-5]\.\d+\.conv2\.conv\.offset\.(weight|bias)")
"""Tensors that may keep random weights if a file has none of them, as it has no deformable convolutions."""

_STEM = re.compile(r"stem\..*|c2\.0\.(conv1|shortcut)\.conv\.weight")
"""Tensors that may keep random weights if their size differs: mmpose trained from stems of another width."""


def load(
    module: nn.Module, path: str | Path, *, allow_class_change: bool = False, classes: Sequence[str] | None = None
) -> Report:
    """Load a checkpoint of any code base into a network.

    Every tensor of the network must be in the file, with its shape, and every tensor of the file must have a place or a
    reason to be dropped. Batch counters, which old files lack, start at 0. Floating-point types are converted to those
    of the network. A network on the meta device is on the CPU afterwards, without a second copy of its weights.

    Args:
        module: Network; unchanged after an error.
        path: Checkpoint.
        allow_class_change: Whether layers whose shape differs only in the number of classes keep their weights, as do
            layers of the same number of classes with other names.
        classes: Class names of the network, which must agree with those of the file, if it has any, in the same order;
            None for a class table.

    Raises:
        NotFiniteError: Weights of the network are NaN or infinite in the file.
        WeightsError: The file cannot be read, or belongs to another model.
    """
    checkpoint = read(path)
    other_classes = classes is not None and _differ(checkpoint.classes, classes)
    if other_classes and not allow_class_change:
        raise WeightsError(
            f"{checkpoint.path} has the classes {first_few(checkpoint.classes or ())}, not {first_few(classes or ())}. "
            f"Set data.classes to its classes in their order."
        )
    translation = _translation(checkpoint)
    if translation.unknown:
        modules = [f"{line.module} ({line.tensors})" for line in group((key, 0, "") for key in translation.unknown)]
        raise WeightsError(
            f"{checkpoint.path} belongs to an unknown model: read with the key map of {translation.layout}, "
            f"{len(translation.unknown)} of its {len(checkpoint.state)} tensors are unknown: "
            f"{first_few(modules, MAX_LISTED)}."
        )
    return _load(module, checkpoint, translation, allow_class_change, other_classes=other_classes)


def load_backbone(backbone: nn.Module, path: str | Path, *, to_train: bool = False) -> Report:
    """Load the backbone of a checkpoint of a classifier, a detector or any other network.

    As ``load``, except that the other parts of the checkpoint are dropped.

    Args:
        backbone: Backbone; unchanged after an error.
        path: Checkpoint.
        to_train: Whether offsets of deformable convolutions, and a stem of another width with the layers after it, may
            keep their random weights, as in published trainings; frozen layers may not.

    Raises:
        NotFiniteError: Weights of the backbone are NaN or infinite in the file.
        WeightsError: The file cannot be read, or has another backbone.
    """
    checkpoint = read(path)
    translation = _translation(checkpoint)
    unprefixed = {key.removeprefix(DETECTOR): source for key, source in translation.sources.items()}
    sources = {key.removeprefix(BACKBONE): s for key, s in unprefixed.items() if key.startswith(BACKBONE)}
    used = set(sources.values())
    dropped = {key: "not in the backbone" for key in checkpoint.state if key not in used} | translation.dropped
    return _load(backbone, checkpoint, replace(translation, sources=sources, dropped=dropped), to_train, BACKBONE)


def _translation(checkpoint: Checkpoint) -> Translation:
    """Return the translation of a checkpoint's keys; files of splitnest have those of the network, whatever it is."""
    if checkpoint.recipe_json is None:
        return translate(checkpoint.state.keys())
    return Translation("splitnest", {key: key for key in checkpoint.state}, {}, [])


@dataclass
class _Match:
    """Match of the tensors of a file and of a module by our keys; ``dropped`` by those of the file."""

    loaded: list[str] = field(default_factory=list)
    zeroed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)


def _load(
    module: nn.Module,
    checkpoint: Checkpoint,
    translation: Translation,
    may_keep: bool,
    prefix: str = "",
    *,
    other_classes: bool = False,
) -> Report:
    slots, sources = module.state_dict(), translation.sources
    match = _match(slots, checkpoint.state, sources, trainable=_trainable(module) if may_keep and prefix else set())
    if other_classes:
        of_classes = [k for k in match.loaded if (layer := class_layer(k)) is not None and layer.what == "classes"]
        match.loaded = [key for key in match.loaded if key not in of_classes]
        match.kept += of_classes
    differences = {
        key: _difference(key, checkpoint.state[sources[key]], slots[key]) if key in sources else "not in the file"
        for key in match.kept
    }
    if match.missing or match.unexpected or match.mismatched:
        raise WeightsError(_explain(match, slots, checkpoint, sources, prefix))
    if differences and not may_keep:
        key, difference = next(iter(differences.items()))
        layer = class_layer(key)
        assert layer is not None
        raise WeightsError(
            f"{checkpoint.path} belongs to the same model with other {layer.what} ({difference}). To predict, set "
            f"{layer.key} to those of the file; to fine-tune, set train.init_from to the file."
        )
    _check_finite(checkpoint, [sources[key] for key in match.loaded])
    _check_meta(module, slots, differences)
    others = [(key, 0, "dropped: not a tensor") for key in checkpoint.not_tensors]
    others += [(key, 0, "dropped: kept by an EMA beside the weights") for key in checkpoint.ema_copies]
    reasons = {**translation.dropped, **match.dropped}
    report = Report(
        checkpoint.path,
        translation.layout,
        group((prefix + key, slots[key].numel(), "loaded") for key in match.loaded),
        group((prefix + key, slots[key].numel(), f"random weights: {why}") for key, why in differences.items()),
        group([(key, checkpoint.state[key].numel(), f"dropped: {why}") for key, why in reasons.items()] + others),
    )
    for key in match.zeroed:
        _assign(module, key, torch.zeros(slots[key].shape, dtype=slots[key].dtype))
    for key in match.loaded:
        _assign(module, key, checkpoint.state.pop(sources[key]))  # frees the copied tensor
    return report


def _match(
    slots: Mapping[str, Tensor], state: Mapping[str, Tensor], sources: Mapping[str, str], trainable: Collection[str]
) -> _Match:
    match = _Match()
    has_offsets = any(_OFFSETS.fullmatch(key) for key in sources)
    for key, slot in slots.items():
        if key not in sources:
            is_kept = key in trainable and not has_offsets and _OFFSETS.fullmatch(key)
            (match.zeroed if key.endswith(COUNTER) else match.kept if is_kept else match.missing).append(key)
            continue
        tensor = state[sources[key]]
        has_other_classes = class_layer(key) is not None and tensor.shape[1:] == slot.shape[1:]
        if not _is_convertible(key, tensor, slot):
            match.mismatched.append(key)
        elif tensor.shape == slot.shape:
            match.loaded.append(key)
        elif has_other_classes or (key in trainable and _STEM.fullmatch(key)):
            match.kept.append(key)
        else:
            match.mismatched.append(key)
    for key in sources:
        if key in slots:
            continue
        if key.endswith(COUNTER) and key.replace(COUNTER, ".running_mean") in slots:
            match.dropped[sources[key]] = "frozen batch normalization has no counter"
        else:
            match.unexpected.append(key)
    return match


def _differ(known: Sequence[str] | None, classes: Sequence[str]) -> bool:
    """Return whether as many classes have other names or another order, which shapes would not show."""
    if known is None or len(known) != len(classes):
        return False
    return list(map(normalized_class_name, known)) != list(map(normalized_class_name, classes))


def _trainable(module: nn.Module) -> set[str]:
    """Return the keys of trainable parameters, and of buffers beside them."""
    keys = set()
    for name, part in module.named_modules():
        parameters = list(part.parameters(recurse=False))
        if parameters and all(parameter.requires_grad for parameter in parameters):
            own = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
            keys |= {f"{name}.{key}".removeprefix(".") for key, _ in own}
    return keys


def _explain(
    match: _Match, slots: Mapping[str, Tensor], checkpoint: Checkpoint, sources: Mapping[str, str], prefix: str
) -> str:
    in_file = describe({prefix + key: checkpoint.state[source].shape for key, source in sources.items()})
    in_model = describe({prefix + key: slot.shape for key, slot in slots.items()})
    shapes = [_difference(key, checkpoint.state[sources[key]], slots[key]) for key in match.mismatched]
    if in_file == in_model:
        head = f"{checkpoint.path} does not fit the model ({in_model})"
    else:
        head = f"{checkpoint.path} belongs to another model ({in_file}) than the given one ({in_model})"
    problems = [
        f"{len(keys)} {kind} ({first_few(keys, MAX_LISTED)})"
        for kind, keys in (
            ("missing", match.missing),
            ("unexpected", match.unexpected),
            ("with another shape or type", shapes),
        )
        if keys
    ]
    advice = "Give the model that the file belongs to"
    if checkpoint.recipe_json is not None:
        advice += ", also one that was given to the training from Python (model=...)"
    return f"{head}. Tensors: {'; '.join(problems)}. {advice}."


def _is_convertible(key: str, source: Tensor, slot: Tensor) -> bool:
    """Return whether a tensor can be converted; a counter may have been converted to half precision with the rest."""
    return source.is_floating_point() == slot.is_floating_point() or key.endswith(COUNTER)


def _difference(key: str, source: Tensor, slot: Tensor) -> str:
    """Return the difference of a tensor of the file and of the model as text."""
    if not _is_convertible(key, source, slot):
        return f"{key} {source.dtype} in the file, {slot.dtype} in the model"
    layer = class_layer(key)
    if layer is not None and source.shape[1:] == slot.shape[1:]:
        in_file, in_model = num_classes(key, source.shape), num_classes(key, slot.shape)
        if in_file == in_model:
            return f"{in_file} other {layer.what} in the file"
        return f"{in_file} {layer.what} in the file, {in_model} in the model"
    return f"{key} {list(source.shape)} in the file, {list(slot.shape)} in the model"


def _check_finite(checkpoint: Checkpoint, keys: Sequence[str]) -> None:
    """Raise a NotFiniteError that names the tensors of a file with NaN or infinity."""
    bad = [key for key in keys if not _is_finite(checkpoint.state[key])]
    if bad:
        raise NotFiniteError(
            f"{checkpoint.path} has weights that are not finite (NaN or infinity) in {len(bad)} of {len(keys)} "
            f"tensors: {first_few(bad)}. Its training diverged, or the file is damaged. Give an earlier checkpoint."
        )


def _is_finite(tensor: Tensor) -> bool:
    """Return whether all values are finite. A sum, which is cheap, shows it unless it overflows."""
    if tensor.dtype.itemsize == 1:
        tensor = tensor.float()  # 8-bit floating-point numbers have no sum
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum())):
        return True
    return bool(torch.isfinite(tensor).all())


def _check_meta(module: nn.Module, slots: Mapping[str, Tensor], kept: Mapping[str, str]) -> None:
    """Raise a ValueError if a tensor on the meta device would get no value."""
    for key, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_meta and (key not in slots or key in kept):
            raise ValueError(f"{key} is on the meta device and not in the file: build the module on a real device")


@torch.no_grad()
def _assign(module: nn.Module, key: str, values: Tensor) -> None:
    owner_name, _, name = key.rpartition(".")
    owner = module.get_submodule(owner_name)
    slot = getattr(owner, name)
    if slot.is_meta:
        fresh = torch.empty_strided(slot.shape, slot.stride(), dtype=slot.dtype)  # empty_like would import sympy
        slot = nn.Parameter(fresh, slot.requires_grad) if isinstance(slot, nn.Parameter) else fresh
        setattr(owner, name, slot)
    slot.copy_(values)
