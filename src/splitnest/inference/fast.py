"""Layer folding and fusion for prediction.

Normalization is folded into convolutions, and shortcuts and ReLUs are fused with them. In float32 results differ by
rounding only. On CPUs weights are arranged for oneDNN once instead of in every call, and shortcuts and ReLUs are
applied while a result is in registers. These operators are those of ``torch.compile``, without its compilation: every
image size is as fast as the first.
"""

import threading
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops.misc import FrozenBatchNorm2d

from splitnest.models.backbones.residual_blocks import BasicBlock, Bottleneck, Shortcut
from splitnest.models.layers.conv import ConvNormAct, StandardizedConv2d
from splitnest.models.layers.deformable_conv import DeformableConv2d
from splitnest.models.layers.split_attention import SplitAttention
from splitnest.models.pose.heatmap_head import Deconv

_PACKING = threading.Lock()
"""Lock of the arrangement of weights, which the first prediction of each of several threads may want."""


class FusedConv2d(nn.Module):
    """Convolution with a fused shortcut or ReLU.

    Args:
        conv: Convolution, with its normalization folded into it.
        relu: Whether to apply a ReLU.
        pack_weights: Whether to arrange the weights for oneDNN in the first forward pass, for its input size.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool, pack_weights: bool) -> None:
        super().__init__()
        self.relu, self.pack_weights = relu, pack_weights
        self.weight: Tensor | None = conv.weight
        self.packed: Tensor | None = None
        self.bias = conv.bias
        padding, stride, dilation = (list(each) for each in (conv.padding, conv.stride, conv.dilation))
        self.geometry: tuple[Any, ...] = padding, stride, dilation, conv.groups

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Convolve ``[N, in_channels, H, W]``, and add a shortcut of the size of the result, which is overwritten."""
        if not self.pack_weights:
            assert self.weight is not None
            padding, stride, dilation, groups = self.geometry
            x = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
            x = x if shortcut is None else shortcut.add_(x)
            return x.relu_() if self.relu else x
        packed = self.packed if self.packed is not None else self._pack(list(x.shape))
        arguments = x.contiguous(memory_format=torch.channels_last), packed, self.bias, *self.geometry
        if shortcut is None:
            return torch.ops.mkldnn._convolution_pointwise(*arguments, "relu" if self.relu else "none", [], "")
        act = "relu" if self.relu else None
        return torch.ops.mkldnn._convolution_pointwise_.binary(shortcut, *arguments, "add", 1.0, act, [], "")

    def _pack(self, input_shape: list[int]) -> Tensor:
        """Arrange the weights, unless another thread has, and return them."""
        with _PACKING:
            if self.packed is None:
                assert self.weight is not None
                reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
                self.packed = reorder(self.weight.to_mkldnn(), *self.geometry, input_shape)
                self.weight = None
            return self.packed

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which arranges its weights anew: arranged ones cannot be pickled."""
        with _PACKING:
            state = self.__dict__.copy()
            if self.packed is not None:
                weight = nn.Parameter(self.packed.to_dense(), requires_grad=False)
                state["packed"], state["_parameters"] = None, {**self._parameters, "weight": weight}
        return state


class FusedBottleneck(nn.Module):
    """Bottleneck whose last convolution adds the shortcut; its other layers are fused already."""

    def __init__(self, block: Bottleneck, last: FusedConv2d) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = block.conv1, block.conv2, last
        self.avd_before, self.avd_after, self.shortcut = block.avd_before, block.avd_after, block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` as the bottleneck does; without a projection ``x`` is overwritten.

        No other layer needs it: each stage begins with a block that has a projection.
        """
        residual = self.conv1(x)
        if self.avd_before is not None:
            residual = self.avd_before(residual)
        residual = self.conv2(residual)
        if self.avd_after is not None:
            residual = self.avd_after(residual)
        return self.conv3(residual, x if self.shortcut is None else self.shortcut(x))


class FusedBasicBlock(nn.Module):
    """Basic block whose last convolution adds the shortcut; its other layers are fused already."""

    def __init__(self, block: BasicBlock, last: FusedConv2d) -> None:
        super().__init__()
        self.conv1, self.conv2, self.shortcut = block.conv1, last, block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` as the basic block does; without a projection ``x`` is overwritten.

        No other layer needs it: c2, whose first block may have no projection either, takes the output of the pooling.
        """
        return self.conv2(self.conv1(x), x if self.shortcut is None else self.shortcut(x))


def make_fast(model: nn.Module, dtype: torch.dtype = torch.float32, *, pack_weights: bool = True) -> None:
    """Fold and fuse the layers of a network in place. It can then be neither trained nor saved.

    Args:
        model: Network in evaluation mode, on its device, in float32 or float64.
        dtype: Type of the network afterwards.
        pack_weights: Whether to arrange weights for oneDNN on a CPU; not for a network that is to be compiled.
    """
    model.requires_grad_(False)
    for part in model.modules():
        for name, child in part.named_children():
            if isinstance(child, StandardizedConv2d):
                setattr(part, name, without_standardization(child))
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
    pack_weights = (
        pack_weights and next(model.parameters()).device.type == "cpu" and torch.backends.mkldnn.is_available()
    )
    for part in parts:
        match part:
            case ConvNormAct(norm=None, conv=nn.Conv2d() as conv):
                part.conv, part.act = FusedConv2d(conv, part.act is not None, pack_weights), None
            case Shortcut(norm=nn.Identity(), conv=nn.Conv2d() as conv):
                part.conv = FusedConv2d(conv, False, pack_weights)
            case SplitAttention(norm=nn.Identity(), conv=nn.Conv2d() as conv, fc1=nn.Conv2d() as fc1):
                part.conv, part.fc1 = FusedConv2d(conv, True, pack_weights), FusedConv2d(fc1, True, pack_weights)
                part.act = nn.Identity()
    for part in parts:
        for name, child in part.named_children():
            match child:
                case Bottleneck(context=None) if isinstance(last := child.conv3.conv, FusedConv2d):
                    setattr(part, name, FusedBottleneck(child, last))
                case BasicBlock() if isinstance(last := child.conv2.conv, FusedConv2d):
                    setattr(part, name, FusedBasicBlock(child, last))
                case _:
                    continue
            last.relu = True


@torch.no_grad()
def without_standardization(conv: StandardizedConv2d) -> nn.Conv2d:
    """Return an ordinary convolution with the standardized weight."""
    plain = nn.utils.skip_init(
        nn.Conv2d,
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        bias=conv.bias is not None,
    )
    plain.weight = nn.Parameter(conv.standardized_weight(), requires_grad=False)
    plain.bias = conv.bias
    return plain


@torch.no_grad()
def fold(conv: nn.Module, norm: nn.Module) -> bool:
    """Fold batch normalization into the convolution before it, in float64.

    Returns:
        Whether the layer was folded; group normalization depends on its input and cannot be.
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
