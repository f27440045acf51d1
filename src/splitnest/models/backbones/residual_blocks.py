"""Residual blocks of ResNet and ResNeSt.

Shapes: N images, H x W cells of a feature map.
"""

from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from splitnest.models.layers.add_relu import add_relu
from splitnest.models.layers.context_block import ContextBlock
from splitnest.models.layers.conv import ConvNormAct, make_conv, make_norm
from splitnest.models.layers.deformable_conv import DeformableConv2d
from splitnest.models.layers.drop_block import DropBlock
from splitnest.models.layers.split_attention import SplitAttention

EXPANSION = 4
"""Output channels of a bottleneck relative to its planes (He et al. 2015)."""


class Shortcut(nn.Module):
    """Projection shortcut of the first block of a stage: optional average pooling, 1x1 convolution, normalization."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        avg_down: bool,
        norm: str,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        has_pool = avg_down and stride > 1
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if has_pool else None
        self.conv: nn.Module = make_conv(
            in_channels, out_channels, 1, stride=1 if avg_down else stride, standardize=standardize
        )
        self.norm = make_norm(norm, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        if self.pool is not None:
            x = self.pool(x)
        return self.norm(self.conv(x))


class Deformable(NamedTuple):
    """Kind of deformable convolution: number of deformable groups, and whether it is modulated (DCNv2)."""

    groups: int
    modulated: bool


class BasicBlock(nn.Module):
    """Residual block of ResNet-18 and ResNet-34: two 3x3 convolutions and a shortcut.

    Args:
        in_channels, out_channels: Number of channels.
        stride: Stride of the first convolution.
        dilation: Dilation of the first convolution.
        downsample: Whether the shortcut is a projection.
        avg_down: Whether the projection pools before its convolution.
        standardize: Whether the weights of convolutions are standardized.
        norm: Name of the normalization layer.
        drop_block: Final drop probability of DropBlock after each convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        downsample: bool = False,
        avg_down: bool = False,
        standardize: bool = False,
        norm: str = "bn",
        drop_block: float = 0.0,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"norm": norm, "standardize": standardize}
        self.conv1 = ConvNormAct(in_channels, out_channels, 3, stride=stride, dilation=dilation, **options)
        self.conv2 = ConvNormAct(out_channels, out_channels, 3, act=False, **options)
        self.shortcut = Shortcut(in_channels, out_channels, stride, avg_down, **options) if downsample else None
        self.drop_block = DropBlock(drop_block) if drop_block else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        residual = self.drop_block(self.conv2(self.drop_block(self.conv1(x))))
        return add_relu(residual, x if self.shortcut is None else self.shortcut(x), overwrite=True)


class Bottleneck(nn.Module):
    """Residual block: 1x1 convolution, 3x3 convolution or split attention, 1x1 convolution, and a shortcut.

    Args:
        in_channels: Number of input channels.
        planes: Number of output channels divided by 4.
        width: Number of channels of the 3x3 convolution.
        stride: Stride of the block.
        dilation: Dilation of the 3x3 convolution.
        radix: Number of splits of split attention; 0 for a plain 3x3 convolution.
        cardinality: Number of groups of the 3x3 convolution.
        downsample: Whether the shortcut is a projection, as in the first block of a stage.
        avg_down: Whether the projection pools before its convolution.
        avd: Position of the average pooling that replaces the stride of the 3x3 convolution; None for no pooling.
        stride_in_1x1: Whether a stride of the convolutions is in the first one.
        deformable: Kind of deformable convolution that the 3x3 convolution is; None for an ordinary one.
        context_ratio: Inner channels of a context block after the last convolution, relative to its channels; None for
            no context block.
        standardize: Whether the weights of convolutions are standardized.
        norm: Name of the normalization layer.
        drop_block: Final drop probability of DropBlock after each convolution.
    """

    def __init__(
        self,
        in_channels: int,
        planes: int,
        width: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        radix: int = 2,
        cardinality: int = 1,
        downsample: bool = False,
        avg_down: bool = True,
        avd: Literal["before", "after"] | None = None,
        stride_in_1x1: bool = False,
        deformable: Deformable | None = None,
        context_ratio: float | None = None,
        standardize: bool = False,
        norm: str = "bn",
        drop_block: float = 0.0,
    ) -> None:
        super().__init__()
        out_channels = planes * EXPANSION
        conv_stride = 1 if avd else stride
        stride1, stride2 = (conv_stride, 1) if stride_in_1x1 else (1, conv_stride)
        options: dict[str, Any] = {"norm": norm, "standardize": standardize}
        self.conv1 = ConvNormAct(in_channels, width, 1, stride=stride1, **options)
        self.avd_before = nn.AvgPool2d(3, stride, padding=1) if avd == "before" else None
        groups = max(radix, 1) * cardinality
        conv: nn.Module
        if deformable is None:
            geometry: dict[str, Any] = {"stride": stride2, "dilation": dilation, "groups": groups}
            conv = make_conv(width, width * max(radix, 1), 3, **geometry, standardize=standardize)
        else:
            conv = DeformableConv2d(
                width,
                width * max(radix, 1),
                stride=stride2,
                dilation=dilation,
                groups=groups,
                offset_groups=deformable.groups,
                modulated=deformable.modulated,
                grouped_offsets=radix > 0,
            )
        self.conv2: nn.Module
        if radix == 0:
            self.conv2 = ConvNormAct(width, width, 3, norm=norm, conv=conv)
        else:
            self.conv2 = SplitAttention(conv, width, radix, cardinality, norm)
        self.avd_after = nn.AvgPool2d(3, stride, padding=1) if avd == "after" else None
        self.conv3 = ConvNormAct(width, out_channels, 1, act=False, **options)
        self.context = None if context_ratio is None else ContextBlock(out_channels, context_ratio)
        self.shortcut = Shortcut(in_channels, out_channels, stride, avg_down, **options) if downsample else None
        self.drop_block = DropBlock(drop_block) if drop_block else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, 4 * planes, ceil(H / stride), ceil(W / stride)]``."""
        residual = self.drop_block(self.conv1(x))
        if self.avd_before is not None:
            residual = self.avd_before(residual)
        residual = self.drop_block(self.conv2(residual))
        if self.avd_after is not None:
            residual = self.avd_after(residual)
        residual = self.drop_block(self.conv3(residual))
        if self.context is not None:
            residual = self.context(residual)
        return add_relu(residual, x if self.shortcut is None else self.shortcut(x), overwrite=True)
