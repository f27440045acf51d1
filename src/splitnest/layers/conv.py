"""Convolution, normalisation, activation: the unit that all networks are made of."""

import math

import torch
from torch import Tensor, nn

from splitnest.layers.precision import at_least_float32
from splitnest.layers.recompute import norm_relu


def make_norm(name: str, channels: int) -> nn.Module:
    """Return the normalisation layer ``name`` for maps of ``channels`` channels.

    ``sync_bn`` gives plain batch normalisation: ``SyncBatchNorm`` refuses the CPU as soon as a process group exists, so
    it is put in place when training starts on several CUDA devices. Group normalisation has groups of 16 channels (Wu
    and He 2018, table 3), or a few more where 16 does not divide them: with 32 groups a group of the 1x1 maps inside
    split attention could be one number, and normalise to nothing. eps is 1e-5 and momentum 0.1 throughout.
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
            raise ValueError(f"no normalisation is called {name!r}: bn, sync_bn, frozen_bn or gn")


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
    """Return a convolution that keeps the map size at stride 1, from Kaiming's normal distribution over the fan-out."""
    padding = dilation * (kernel_size - 1) // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class ConvNormAct(nn.Module):
    """A convolution, a normalisation and a ReLU. Without ``norm`` the convolution has a bias."""

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

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        maps = self.conv(maps)
        if self.norm is not None and self.act is not None:
            return norm_relu(self.norm, self.act, maps)
        maps = maps if self.norm is None else self.norm(maps)
        return maps if self.act is None else self.act(maps)


class DeformableConv2d(nn.Module):
    """A modulated deformable 3x3 convolution (DCNv2, Zhu et al. 2019) that predicts its own offsets.

    The offset convolution is itself grouped, one group for each group of offsets, as in the code that trained the
    published rows. Of its ``27 * offset_groups`` channels two thirds are offsets, the last third, after a sigmoid, the
    modulation.
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
        self.register_parameter("bias", None)  # a normalisation follows; one that is folded into the weights leaves one
        self.offset = nn.Conv2d(
            in_channels, 27 * offset_groups, 3, stride=stride, padding=dilation, dilation=dilation, groups=offset_groups
        )
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias unless told otherwise

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        from torchvision.ops import deform_conv2d

        predicted = at_least_float32(self.offset(maps))  # offsets are positions; the operator has no bfloat16 besides
        offsets = 2 * predicted.shape[1] // 3
        convolved = deform_conv2d(
            at_least_float32(maps),
            predicted[:, :offsets],
            at_least_float32(self.weight),
            None if self.bias is None else at_least_float32(self.bias),
            stride=self.stride,
            padding=self.dilation,
            dilation=self.dilation,
            mask=predicted[:, offsets:].sigmoid(),
        )
        return convolved.to(maps.dtype)
