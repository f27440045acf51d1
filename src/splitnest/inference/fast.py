"""A network made quicker, for prediction alone: normalisation goes into convolutions, and so does what follows them.

In float32 it differs from the network that it was by rounding alone: a folded normalisation is one multiplication
less. On processors convolutions take weights in the order that oneDNN computes in, arranged once instead of at every
call, and add a shortcut and apply a ReLU while a result is in the registers. These are the operators that
``torch.compile`` uses there, called without it: nothing is compiled, and every size of image is as quick as the first.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops.misc import FrozenBatchNorm2d

from splitnest.backbones.resnet import Bottleneck, Shortcut
from splitnest.layers.conv import ConvNormAct, DeformableConv2d
from splitnest.layers.split_attention import SplitAttention
from splitnest.pose.head import Deconv


class FusedConv2d(nn.Module):
    """A convolution that adds a shortcut or applies a ReLU itself.

    Args:
        conv: The convolution, with its normalisation folded into it.
        relu: A ReLU follows.
        packs: Arrange the weights for oneDNN, when the first maps show what it chooses for them.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool, packs: bool) -> None:
        super().__init__()
        self.relu, self.packs = relu, packs
        self.weight: Tensor | None = conv.weight
        self.bias = conv.bias
        padding, stride, dilation = (list(each) for each in (conv.padding, conv.stride, conv.dilation))
        self.geometry: tuple[Any, ...] = padding, stride, dilation, conv.groups

    def forward(self, maps: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Convolve ``[N, in_channels, H, W]``; a ``shortcut`` of the size of the result is added, and overwritten."""
        padding, stride, dilation, groups = self.geometry
        if self.weight is not None and not self.packs:
            maps = F.conv2d(maps, self.weight, self.bias, stride, padding, dilation, groups)
            maps = maps if shortcut is None else shortcut.add_(maps)
            return maps.relu_() if self.relu else maps
        if self.weight is not None:
            reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
            self.packed = reorder(self.weight.to_mkldnn(), *self.geometry, list(maps.shape))
            self.weight = None
        given = maps.contiguous(memory_format=torch.channels_last), self.packed, self.bias, *self.geometry
        if shortcut is None:
            return torch.ops.mkldnn._convolution_pointwise(*given, "relu" if self.relu else "none", [], "")
        act = "relu" if self.relu else None
        return torch.ops.mkldnn._convolution_pointwise_.binary(shortcut, *given, "add", 1.0, act, [], "")


class FusedBottleneck(nn.Module):
    """A bottleneck whose last convolution adds the shortcut; its other parts are fused already."""

    def __init__(self, block: Bottleneck, last: FusedConv2d) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = block.conv1, block.conv2, last
        self.avd_before, self.avd_after, self.shortcut = block.avd_before, block.avd_after, block.shortcut

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` as the bottleneck does; without a projection ``maps`` are overwritten.

        Nobody else needs them: each stage begins with a block that projects.
        """
        residual = self.conv1(maps)
        if self.avd_before is not None:
            residual = self.avd_before(residual)
        residual = self.conv2(residual)
        if self.avd_after is not None:
            residual = self.avd_after(residual)
        return self.conv3(residual, maps if self.shortcut is None else self.shortcut(maps))


def make_fast(model: nn.Module, dtype: torch.dtype = torch.float32, *, packs: bool = True) -> None:
    """Fold and fuse the layers of a network in place. It can then be neither trained nor saved.

    Args:
        model: In evaluation mode, on its device, in float32 or float64.
        dtype: What it computes in from then on.
        packs: Arrange weights for oneDNN where it is on a processor that has it; not for a network that is compiled.
    """
    model.requires_grad_(False)
    parts = list(model.modules())
    for part in parts:
        match part:
            case ConvNormAct(norm=norm) if norm is not None and fold(part.conv, norm):
                part.norm = None
            case Shortcut() | Deconv() if fold(part.conv, part.norm):
                part.norm = nn.Identity()
            case SplitAttention() if fold(part.conv, part.norm) and fold(part.fc1, part.fc1_norm):
                part.norm, part.fc1_norm = nn.Identity(), nn.Identity()
    model.to(dtype)
    packs = packs and next(model.parameters()).device.type == "cpu" and torch.backends.mkldnn.is_available()
    for part in parts:
        match part:
            case ConvNormAct(norm=None, conv=nn.Conv2d() as conv):
                part.conv, part.act = FusedConv2d(conv, part.act is not None, packs), None
            case Shortcut(norm=nn.Identity(), conv=nn.Conv2d() as conv):
                part.conv = FusedConv2d(conv, False, packs)
            case SplitAttention(norm=nn.Identity(), conv=nn.Conv2d() as conv, fc1=nn.Conv2d() as fc1):
                part.conv, part.fc1 = FusedConv2d(conv, True, packs), FusedConv2d(fc1, True, packs)
                part.act = nn.Identity()
    for part in parts:
        for name, child in part.named_children():
            if isinstance(child, Bottleneck) and isinstance(last := child.conv3.conv, FusedConv2d):
                last.relu = True
                setattr(part, name, FusedBottleneck(child, last))


@torch.no_grad()
def fold(conv: nn.Module, norm: nn.Module) -> bool:
    """Put the statistics and the scale of a batch normalisation into the convolution before it, in float64.

    Returns:
        Whether that was done: what group normalisation does is not known before the maps.
    """
    if not isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm2d):
        return False
    assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d | DeformableConv2d)
    mean, variance, weight, bias = (
        getattr(norm, name).double() for name in ("running_mean", "running_var", "weight", "bias")
    )
    scale = weight / (variance + norm.eps).sqrt()
    shift = bias - mean * scale if conv.bias is None else bias + (conv.bias.double() - mean) * scale
    per_output = scale.view(1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else scale.view(-1, 1, 1, 1)
    conv.weight.copy_(conv.weight.double() * per_output)
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
    return True
