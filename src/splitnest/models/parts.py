"""Parts of a network that are given from Python instead of being built from a recipe."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from splitnest.errors import UsageError, first_few
from splitnest.models.class_loss import ClassLoss

_OF_TASK = {
    "classification": ("backbone", "class_loss"),
    "semantic": ("backbone", "decode_head", "auxiliary_head", "class_loss"),
    "pose": ("backbone", "heatmap_head"),
}
_OF_DETECTORS = ("backbone", "neck", "box_heads", "mask_heads", "class_loss")

PROBE_SIZE = 128
"""Side in pixels of the image that a given backbone is tried with."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Parts of a network; None for those of the recipe.

    Attributes:
        backbone: Module with ``channels`` and ``strides``, dictionaries by feature name (c2 to c5), that maps
            normalized images ``[N, 3, H, W]`` to a dictionary of feature maps.
        neck: Module that maps c2 to c5 to the levels p2 to p6 of a detector, ``model.fpn_channels`` each.
        box_heads, mask_heads: Heads of a detector, one for each stage.
        decode_head, auxiliary_head: Heads of a segmentor, which map the features of the backbone to logits.
        heatmap_head: Head of a pose estimator, which maps c5 to heatmaps.
        class_loss: Loss of the classes in place of the cross entropy.
    """

    backbone: nn.Module | None = None
    neck: nn.Module | None = None
    box_heads: Sequence[nn.Module] | None = None
    mask_heads: Sequence[nn.Module] | None = None
    decode_head: nn.Module | None = None
    auxiliary_head: nn.Module | None = None
    heatmap_head: nn.Module | None = None
    class_loss: ClassLoss | None = None

    def check_task(self, task: str) -> None:
        """Raise a UsageError for a part that networks of a task do not have, or that is no module."""
        usable = _OF_TASK.get(task, _OF_DETECTORS)
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name not in usable:
                raise UsageError(f"A network of the task {task} has no {field.name}. It has {', '.join(usable)}.")
            if field.name == "class_loss":
                fits, expected = callable(value), "a function"
            elif field.name.endswith("_heads"):
                fits = isinstance(value, Sequence) and all(isinstance(each, nn.Module) for each in value)
                expected = "a list of modules"
            else:
                fits, expected = isinstance(value, nn.Module), "a module (torch.nn.Module)"
            if not fits:
                raise UsageError(f"{field.name} is a {type(value).__name__}. Give {expected}.")


def check_backbone(backbone: nn.Module, names: Collection[str]) -> None:
    """Check that a given backbone has the interface of backbones, by a small image.

    Args:
        backbone: Backbone.
        names: Names of the required feature maps.

    Raises:
        UsageError: The backbone lacks an attribute or a feature map, or its attributes are wrong.
    """
    kind = type(backbone).__name__
    for attribute in ("channels", "strides"):
        values: Any = getattr(backbone, attribute, None)
        if not isinstance(values, Mapping):
            raise UsageError(
                f"The backbone {kind} has no {attribute}. Give it an attribute {attribute}, a dictionary by feature "
                f"name, such as {{'c2': 96, 'c3': 192, 'c4': 384, 'c5': 768}} for channels."
            )
        if missing := [name for name in names if name not in values]:
            raise UsageError(
                f"{attribute} of the backbone {kind} has {first_few(list(values)) or 'nothing'}, but the network "
                f"needs {first_few(missing)}. Name its feature maps by stride: c2 is 4, c3 is 8, c4 is 16, c5 is 32."
            )
    features = _features_of(backbone)
    for name in names:
        found = features.get(name) if isinstance(features, Mapping) else None
        if not isinstance(found, Tensor) or found.ndim != 4:
            raise UsageError(
                f"The backbone {kind} does not return {name}. Return a dictionary of feature maps [N, C, H, W] by name."
            )
        channels, stride = (getattr(backbone, attribute)[name] for attribute in ("channels", "strides"))
        expected = (1, channels, -(-PROBE_SIZE // stride), -(-PROBE_SIZE // stride))
        if found.shape != expected:
            raise UsageError(
                f"{name} of the backbone {kind} is {list(found.shape)} for an image of {PROBE_SIZE} x {PROBE_SIZE} "
                f"pixels, but by its channels ({channels}) and strides ({stride}) it is {list(expected)}. Correct them."
            )


def check_strides(backbone: nn.Module, strides: Mapping[str, int]) -> None:
    """Raise a UsageError if the feature maps of a backbone have other strides than those that a detector needs."""
    found: Any = backbone.strides
    for name, stride in strides.items():
        if found[name] != stride:
            raise UsageError(
                f"{name} of the backbone {type(backbone).__name__} has stride {found[name]}; a detector needs {stride}."
                f" Give a backbone with the strides {first_few(list(strides.values()))}."
            )


@torch.no_grad()
def _features_of(backbone: nn.Module) -> Any:
    """Return the features of a small image, computed in evaluation mode, which leaves statistics as they are."""
    modes = {part: part.training for part in backbone.modules()}
    like = next(backbone.parameters(), torch.empty(0))
    try:
        return backbone.eval()(like.new_zeros(1, 3, PROBE_SIZE, PROBE_SIZE))
    except Exception as error:  # of code of the user
        raise UsageError(
            f"The backbone {type(backbone).__name__} fails for an image of {PROBE_SIZE} x {PROBE_SIZE} pixels: "
            f"{type(error).__name__}: {error}. It gets normalized images [N, 3, H, W] of any size."
        ) from error
    finally:
        for part, mode in modes.items():
            part.training = mode
