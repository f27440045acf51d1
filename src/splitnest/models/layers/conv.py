"""Convolution with normalization and activation, the building block of all networks."""

import math

import torch
from torch import Tensor, nn

from splitnest.models.layers.precision import at_least_float32
from splitnest.models.layers.recompute import norm_relu


def make_norm(name: str, channels: int) -> nn.Module:
    """Return a normalization layer.

    ``sync_bn`` returns plain batch normalization: ``SyncBatchNorm`` rejects CPU tensors once a process group exists, so
    it is converted when a training starts on several CUDA devices. Group normalization has groups of 16 channels (Wu
    and He 2018, table 3), or slightly more where 16 does not divide the channels: with 32 groups, a group of the
    pooled features in split attention could have a single value. eps is 1e-5 and momentum 0.1.

    Args:
        name: ``bn``, ``sync_bn``, ``frozen_bn`` or ``gn``.
        channels: Number of channels.

    Raises:
        ValueError: The name is unknown.
    """
    match name:
        case "bn" | "sync_bn":
            return nn.BatchNorm2d(channels)
        case "frozen_bn":
            from torchvision.ops.misc import FrozenBatchNorm2d

            return FrozenBatchNorm2d(channels)
        case "gn":
            return nn.GroupNorm(math.gcd(max(channels // 16, 1), channels), channels)
        case _:
            raise ValueError(f"unknown normalization {name!r}: use bn, sync_bn, frozen_bn or gn")


def make_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Return a convolution that keeps the size at stride 1, with Kaiming normal initialization over the fan-out."""
    padding = dilation * (kernel_size - 1) // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class ConvNormAct(nn.Module):
    """Convolution, normalization and ReLU. Without ``norm`` the convolution has a bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        norm: str | None = "bn",
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv: nn.Module = make_conv(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            dilation=dilation,
            groups=groups,
            bias=norm is None,
        )
        self.norm = make_norm(norm, out_channels) if norm else None
        self.act: nn.Module | None = nn.ReLU(inplace=True) if act else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        x = self.conv(x)
        if self.norm is not None and self.act is not None:
            return norm_relu(self.norm, self.act, x)
        x = x if self.norm is None else self.norm(x)
        return x if self.act is None else self.act(x)


class DeformableConv2d(nn.Module):
    """Modulated deformable 3x3 convolution (DCNv2, Zhu et al. 2019) with its offset convolution.

    The offset convolution has one group for each group of offsets, as in the code that trained the published models.
    Two thirds of its ``27 * offset_groups`` channels are offsets; the last third, after a sigmoid, is the modulation.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        offset_groups: int = 2,
    ) -> None:
        super().__init__()
        self.stride, self.dilation, self.groups = stride, dilation, groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, 3, 3))
        self.register_parameter("bias", None)  # a norm follows; folding it into the weights adds a bias
        self.offset = nn.Conv2d(
            in_channels, 27 * offset_groups, 3, stride=stride, padding=dilation, dilation=dilation, groups=offset_groups
        )
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias by default

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        from torchvision.ops import deform_conv2d

        # offsets are positions, and the operator does not support bfloat16
        predicted = at_least_float32(self.offset(x))
        offsets = 2 * predicted.shape[1] // 3
        convolved = deform_conv2d(
            at_least_float32(x),
            predicted[:, :offsets],
            at_least_float32(self.weight),
            None if self.bias is None else at_least_float32(self.bias),
            stride=self.stride,
            padding=self.dilation,
            dilation=self.dilation,
            mask=predicted[:, offsets:].sigmoid(),
        )
        return convolved.to(x.dtype)
