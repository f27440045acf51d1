"""Convolution with normalization and activation, the building block of all networks."""

import math

from torch import Tensor, nn

from splitnest.models.layers.recompute import norm_relu


def make_norm(name: str, channels: int) -> nn.Module:
    """Return a normalization layer.

    ``sync_bn`` returns plain batch normalization: ``SyncBatchNorm`` rejects CPU tensors once a process group exists, so
    it is converted when a training starts on several CUDA devices. Group normalization has groups of 16 channels (Wu
    and He 2018, table 3), or slightly more where 16 does not divide the channels: with 32 groups, a group of the
    pooled features in split attention could have a single value. ``gn32`` has 32 groups, as published models without
    split attention have, or fewer where 32 does not divide the channels. eps is 1e-5 and momentum 0.1.

    Args:
        name: ``bn``, ``sync_bn``, ``frozen_bn``, ``gn`` or ``gn32``.
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
        case "gn32":
            return nn.GroupNorm(math.gcd(32, channels), channels)
        case _:
            raise ValueError(f"unknown normalization {name!r}: use bn, sync_bn, frozen_bn, gn or gn32")


class StandardizedConv2d(nn.Conv2d):
    """Convolution with weight standardization (Qiao et al. 2019): mean 0 and deviation 1 of each output channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, H', W']``."""
        return self._conv_forward(x, self.standardized_weight(), self.bias)

    def standardized_weight(self) -> Tensor:
        """Return the weight that is convolved with; the deviation is unbiased, and 1e-5 is added to it."""
        weight = self.weight.flatten(1)
        deviation = weight.std(1, keepdim=True) + 1e-5
        return ((weight - weight.mean(1, keepdim=True)) / deviation).view_as(self.weight)


def make_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
    standardize: bool = False,
) -> nn.Conv2d:
    """Return a convolution that keeps the size at stride 1, with Kaiming normal initialization over the fan-out.

    Args:
        in_channels, out_channels: Number of channels.
        kernel_size: Side of the kernel in cells.
        stride, dilation, groups: Same as in ``nn.Conv2d``.
        bias: Whether it has a bias.
        standardize: Whether its weight is standardized.
    """
    padding = dilation * (kernel_size - 1) // 2
    kind = StandardizedConv2d if standardize else nn.Conv2d
    conv = kind(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class ConvNormAct(nn.Module):
    """Convolution, normalization and ReLU. Without ``norm`` the convolution has a bias.

    Args:
        in_channels, out_channels: Number of channels.
        kernel_size: Side of the kernel in cells.
        stride, dilation, groups: Same as in ``nn.Conv2d``.
        norm: Name of the normalization layer.
        act: Whether there is a ReLU.
        standardize: Whether the weight of the convolution is standardized.
        conv: Convolution to be used instead of one with these parameters.
    """

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
        standardize: bool = False,
        conv: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv: nn.Module = conv or make_conv(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            dilation=dilation,
            groups=groups,
            bias=norm is None,
            standardize=standardize,
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
