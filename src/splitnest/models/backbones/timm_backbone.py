"""Models of timm as backbones."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from splitnest.errors import UsageError, WeightsError, first_few
from splitnest.models.backbones.resnet import STAGES

STRIDES = (4, 8, 16, 32)
"""Strides of c2 to c5 without dilation."""


class TimmBackbone(nn.Module):
    """Model of timm that returns feature maps, such as ConvNeXt or EfficientNet.

    Args:
        model: Model that was created with ``features_only``.
        indices: Index of each returned feature map among those of the model, by name.

    Attributes:
        channels: Number of channels of each returned feature map, by name.
        strides: Stride of each returned feature map in pixels of the input, by name.
    """

    def __init__(self, model: Any, indices: dict[str, int]) -> None:
        super().__init__()
        self.model, self._indices = model, indices
        info = model.feature_info
        self.channels = {name: int(info.channels()[index]) for name, index in indices.items()}
        self.strides = {name: int(info.reduction()[index]) for name, index in indices.items()}
        self._channels_last = str(getattr(model, "output_fmt", "")).endswith("NHWC")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalized images ``[N, 3, H, W]`` to ``{name: [N, channels, H / stride, W / stride]}``."""
        maps = self.model(images)
        features = {name: maps[index] for name, index in self._indices.items()}
        return {name: x.permute(0, 3, 1, 2) for name, x in features.items()} if self._channels_last else features


def timm_backbone(
    name: str, *, pretrained: bool = False, output_stride: int = 32, out: Collection[str] = STAGES, **options: Any
) -> TimmBackbone:
    """Build a model of timm as a backbone.

    Args:
        name: Name in timm, such as ``convnext_tiny.fb_in1k``; the part after the dot names pretrained weights.
        pretrained: Whether to load timm's weights, which timm fetches. They expect the pixel statistics of
            ``timm.get_pretrained_cfg(name)``.
        output_stride: Stride of c5; less than 32 for models that timm can dilate.
        out: Names of the returned feature maps among c2, c3, c4 and c5.
        options: Further arguments of ``timm.create_model``.

    Raises:
        UsageError: timm is not installed, has no such model, or the model has no feature maps of these strides.
        WeightsError: The pretrained weights cannot be fetched.
    """
    if unknown := sorted(set(out) - set(STAGES)) or (["nothing"] if not out else []):
        raise UsageError(f"out holds {unknown[0]!r}. The feature maps of a backbone are {', '.join(STAGES)}.")
    timm = _timm()
    if not timm.is_model(name.partition(".")[0]):
        similar = get_close_matches(name.partition(".")[0], timm.list_models(), n=3, cutoff=0.0)
        raise UsageError(f"timm {timm.__version__} has no model {name[:80]!r}. Similar names: {', '.join(similar)}.")
    options["features_only"] = True
    if output_stride != STRIDES[-1]:
        options["output_stride"] = output_stride
    model = _create(name, options)
    indices = _indices(name, model.feature_info.reduction(), output_stride, out)
    if any(b.is_meta and key not in model.state_dict() for key, b in model.named_buffers()):
        with torch.device("cpu"):  # a checkpoint has no values of these buffers
            model = _create(name, options)
    if pretrained:
        load_timm_weights(name, model, **options)
    return TimmBackbone(model, indices)


def load_timm_weights(name: str, model: nn.Module, **options: Any) -> None:
    """Load timm's pretrained weights into a model of features.

    Args:
        name: Name of the model in timm.
        model: Model.
        options: Arguments of ``timm.create_model`` that it was created with.

    Raises:
        WeightsError: timm has no such weights, or the weights cannot be fetched.
    """
    try:
        state = _timm().create_model(name, pretrained=True, **{"features_only": True, **options}).state_dict()
    except Exception as error:  # of timm, of huggingface_hub or of the network
        reason = (str(error) or type(error).__name__).partition("\n")[0].rstrip(".")
        raise WeightsError(
            f"timm's weights of {name} cannot be fetched: {reason}. Use random weights "
            f"(model.backbone.pretrained=false), or give a checkpoint (train.init_from)."
        ) from error
    model.load_state_dict(state)


def _create(name: str, options: dict[str, Any]) -> Any:
    timm = _timm()
    try:
        return timm.create_model(name, **options)
    except Exception as error:  # each model refuses what it cannot do in its own way
        if torch.empty(0).is_meta:  # and some cannot be built without values
            with torch.device("cpu"):
                return _create(name, options)
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UsageError(
            f"timm cannot build {name} with {given}: {type(error).__name__}: {reason}. Give another model, or other "
            f"options (model.backbone.output_stride=32)."
        ) from error


def _indices(name: str, reductions: list[int], output_stride: int, out: Collection[str]) -> dict[str, int]:
    """Return the index of each feature map: the last ones, which have the strides of c2 to c5."""
    wanted = {stage: min(stride, output_stride) for stage, stride in zip(STAGES, STRIDES, strict=True)}
    first = len(reductions) - len(STAGES)
    found = {stage: first + place for place, stage in enumerate(STAGES)}
    for stage in STAGES:
        if stage in out and (found[stage] < 0 or reductions[found[stage]] != wanted[stage]):
            raise UsageError(
                f"The feature maps of timm's {name} have the strides {first_few(reductions)}; a backbone needs "
                f"{first_few(list(wanted.values()))}. Give another model."
            )
    return {stage: index for stage, index in found.items() if stage in out}


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise UsageError("Models of timm need the package timm: pip install 'splitnest[timm]'.") from error
    return timm
