"""A checkpoint into a network: all of it or nothing, and a report of what went where."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from splitnest.errors import WeightsError, first_few
from splitnest.recipe.data import plain_class
from splitnest.weights.describe import describe, num_classes, sized_layer
from splitnest.weights.layout import Translation, translate
from splitnest.weights.read import Checkpoint, read
from splitnest.weights.report import Report, group

_BACKBONE = "backbone."
_COUNTER = ".num_batches_tracked"
_SHOWN = 3
"""Keys of a kind that a message names."""

_ABSENT = re.compile(r"c[2-5]\.\d+\.conv2\.conv\.offset\.(weight|bias)")
"""Tensors that start anew where a file has none of them: it is of the network without deformable convolutions."""

_RESIZED = re.compile(r"stem\..*|c2\.0\.(conv1|shortcut)\.conv\.weight")
"""Tensors that start anew where theirs is another size: mmpose trained from stems of other widths than its own."""


def load(
    module: nn.Module, path: str | Path, *, allow_class_change: bool = False, classes: Sequence[str] | None = None
) -> Report:
    """Fill ``module`` from a checkpoint of any layout.

    Every tensor of the module must be in the file, in its shape, and every tensor of the file must have a place or a
    reason to be dropped. Counters of batches, which old files lack, start at 0. Floating-point types are converted to
    the module's. The module may be on the meta device: it is on the CPU afterwards, and there is no second copy of it.

    Args:
        module: A whole network. When the load fails it is left as it was.
        path: The file.
        allow_class_change: Layers whose shape differs only in the number of classes keep their initial values, and so
            do layers of as many classes where the file is known to be of others.
        classes: What they are called; where the file knows, too, the names and their order must agree.

    Raises:
        WeightsError: The file cannot be read, or is of another model.
    """
    checkpoint = read(path)
    others = classes is not None and _are_others(checkpoint, classes)
    if others and not allow_class_change:
        assert classes is not None
        assert checkpoint.classes is not None
        raise WeightsError(
            f"{checkpoint.path} is of the classes {first_few(checkpoint.classes)}, not {first_few(classes)}. Give "
            f"data.classes these names in this order."
        )
    translation = translate(checkpoint.state.keys())
    if translation.unknown:
        modules = [f"{line.module} ({line.tensors})" for line in group((key, 0, "") for key in translation.unknown)]
        raise WeightsError(
            f"{checkpoint.path} is of a model that is not known here: read as {translation.layout} layout, "
            f"{len(translation.unknown)} of its {len(checkpoint.state)} tensors have no place: "
            f"{first_few(modules, _SHOWN)}."
        )
    return _load(module, checkpoint, translation, allow_class_change, other_classes=others)


def load_backbone(backbone: nn.Module, path: str | Path, *, to_train: bool = False) -> Report:
    """Fill a backbone from a checkpoint of a classifier, a detector or any other network around one.

    The same holds as for ``load``, except that what does not belong to the backbone is dropped.

    Args:
        backbone: When the load fails it is left as it was.
        path: The file.
        to_train: The offsets of deformable convolutions, and a stem of another width with the layers behind it, may
            keep their initial values, as published trainings began; of what is frozen nothing may.

    Raises:
        WeightsError: The file cannot be read, or its backbone is another one.
    """
    checkpoint = read(path)
    translation = translate(checkpoint.state.keys())
    sources = {k.removeprefix(_BACKBONE): s for k, s in translation.sources.items() if k.startswith(_BACKBONE)}
    taken = set(sources.values())
    dropped = {key: "not of the backbone" for key in checkpoint.state if key not in taken} | translation.dropped
    return _load(backbone, checkpoint, replace(translation, sources=sources, dropped=dropped), to_train, _BACKBONE)


@dataclass
class _Fit:
    """How the tensors of a file and the slots of a module match, by our keys (``dropped``: by those of the file)."""

    filled: list[str] = field(default_factory=list)
    zeroed: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)


def _load(
    module: nn.Module,
    checkpoint: Checkpoint,
    translation: Translation,
    may_restart: bool,
    prefix: str = "",
    *,
    other_classes: bool = False,
) -> Report:
    slots, sources = module.state_dict(), translation.sources
    fit = _fit(slots, checkpoint.state, sources, restartable=_trained(module) if may_restart and prefix else set())
    if other_classes:
        of_classes = [key for key in fit.filled if (layer := sized_layer(key)) is not None and layer.what == "classes"]
        fit.filled = [key for key in fit.filled if key not in of_classes]
        fit.restarted += of_classes
    changed = {
        key: _change(key, checkpoint.state[sources[key]], slots[key]) if key in sources else "not in the file"
        for key in fit.restarted
    }
    if fit.missing or fit.unexpected or fit.mismatched:
        raise WeightsError(_misfit(fit, slots, checkpoint, sources, prefix))
    if changed and not may_restart:
        key, change = next(iter(changed.items()))
        layer = sized_layer(key)
        assert layer is not None
        raise WeightsError(
            f"{checkpoint.path} is of the same model with other {layer.what} ({change}). To predict, give the recipe "
            f"those of the file ({layer.key}); to fine-tune, train from the file (train.start)."
        )
    _check_meta(module, slots, changed)
    not_tensors = [(key, 0, "dropped: no tensor") for key in checkpoint.not_tensors]
    reasons = {**translation.dropped, **fit.dropped}
    report = Report(
        checkpoint.path,
        translation.layout,
        group((prefix + key, slots[key].numel(), "loaded") for key in fit.filled),
        group((prefix + key, slots[key].numel(), f"re-initialised: {change}") for key, change in changed.items()),
        group([(key, checkpoint.state[key].numel(), f"dropped: {why}") for key, why in reasons.items()] + not_tensors),
    )
    for key in fit.zeroed:
        _fill(module, key, torch.zeros(slots[key].shape, dtype=slots[key].dtype))
    for key in fit.filled:
        _fill(module, key, checkpoint.state.pop(sources[key]))  # frees what is copied
    return report


def _fit(
    slots: Mapping[str, Tensor], state: Mapping[str, Tensor], sources: Mapping[str, str], restartable: Collection[str]
) -> _Fit:
    fit = _Fit()
    has_absent = any(_ABSENT.fullmatch(key) for key in sources)
    for key, slot in slots.items():
        if key not in sources:
            restarts = key in restartable and not has_absent and _ABSENT.fullmatch(key)
            (fit.zeroed if key.endswith(_COUNTER) else fit.restarted if restarts else fit.missing).append(key)
            continue
        tensor = state[sources[key]]
        class_sized = sized_layer(key) is not None and tensor.shape[1:] == slot.shape[1:]
        if not _same_kind(key, tensor, slot):
            fit.mismatched.append(key)
        elif tensor.shape == slot.shape:
            fit.filled.append(key)
        elif class_sized or (key in restartable and _RESIZED.fullmatch(key)):
            fit.restarted.append(key)
        else:
            fit.mismatched.append(key)
    for key in sources:
        if key in slots:
            continue
        if key.endswith(_COUNTER) and key.replace(_COUNTER, ".running_mean") in slots:
            fit.dropped[sources[key]] = "a frozen norm counts no batches"
        else:
            fit.unexpected.append(key)
    return fit


def _are_others(checkpoint: Checkpoint, classes: Sequence[str]) -> bool:
    """Whether a file is of as many classes with other names, or in another order: shapes would not show it."""
    known = checkpoint.classes
    if known is None or len(known) != len(classes):
        return False
    return list(map(plain_class, known)) != list(map(plain_class, classes))


def _trained(module: nn.Module) -> set[str]:
    """Return the keys of parameters that train, and of buffers beside them."""
    found = set()
    for name, part in module.named_modules():
        parameters = list(part.parameters(recurse=False))
        if parameters and all(parameter.requires_grad for parameter in parameters):
            own = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
            found |= {f"{name}.{key}".removeprefix(".") for key, _ in own}
    return found


def _misfit(
    fit: _Fit, slots: Mapping[str, Tensor], checkpoint: Checkpoint, sources: Mapping[str, str], prefix: str
) -> str:
    in_file = describe({prefix + key: checkpoint.state[source].shape for key, source in sources.items()})
    in_model = describe({prefix + key: slot.shape for key, slot in slots.items()})
    shapes = [_change(key, checkpoint.state[sources[key]], slots[key]) for key in fit.mismatched]
    if in_file == in_model:
        head = f"{checkpoint.path} does not fit the model ({in_model})"
    else:
        head = f"{checkpoint.path} is of another model ({in_file}) than the one to be filled ({in_model})"
    problems = [
        f"{what}: {len(keys)} ({first_few(keys, _SHOWN)})"
        for what, keys in (
            ("missing", fit.missing),
            ("too many", fit.unexpected),
            ("of another shape or type", shapes),
        )
        if keys
    ]
    return f"{head}. Tensors {'; '.join(problems)}. Name the model that the file is of."


def _same_kind(key: str, source: Tensor, slot: Tensor) -> bool:
    """Whether the numbers of ``source`` can be converted; a counter may have been made half precision with the rest."""
    return source.is_floating_point() == slot.is_floating_point() or key.endswith(_COUNTER)


def _change(key: str, source: Tensor, slot: Tensor) -> str:
    """Words for how a tensor of the file differs from its slot."""
    if not _same_kind(key, source, slot):
        return f"{key} {source.dtype} in the file, {slot.dtype} in the model"
    layer = sized_layer(key)
    if layer is not None and source.shape[1:] == slot.shape[1:]:
        old, new = num_classes(key, source.shape), num_classes(key, slot.shape)
        if old == new:
            return f"{old} other {layer.what} in the file"
        return f"{old} {layer.what} in the file, {new} in the model"
    return f"{key} {list(source.shape)} in the file, {list(slot.shape)} in the model"


def _check_meta(module: nn.Module, slots: Mapping[str, Tensor], renewed: Mapping[str, str]) -> None:
    """Raise a ValueError if a tensor on the meta device would stay there: it has no initial value to keep."""
    for key, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_meta and (key not in slots or key in renewed):
            raise ValueError(f"{key} is on the meta device and not in the file: build the module on a real device")


@torch.no_grad()
def _fill(module: nn.Module, key: str, values: Tensor) -> None:
    owner_name, _, name = key.rpartition(".")
    owner = module.get_submodule(owner_name)
    slot = getattr(owner, name)
    if slot.is_meta:
        fresh = torch.empty_strided(slot.shape, slot.stride(), dtype=slot.dtype)  # empty_like would import sympy
        slot = nn.Parameter(fresh, slot.requires_grad) if isinstance(slot, nn.Parameter) else fresh
        setattr(owner, name, slot)
    slot.copy_(values)
