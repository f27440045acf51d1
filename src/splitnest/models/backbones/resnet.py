"""ResNet (He et al. 2015) and ResNeSt (Zhang et al. 2020) backbones of all published variants.

``resnet`` builds a backbone from plain values: ``resnet(depth=50, radix=2)`` is ResNeSt-50, ``radix=0`` a ResNet.

Shapes: N images, C channels, H x W cells of a feature map.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn

from splitnest.models.layers.checkpointing import checkpointed
from splitnest.models.layers.conv import ConvNormAct, DeformableConv2d, make_conv, make_norm
from splitnest.models.layers.drop_block import DropBlock
from splitnest.models.layers.split_attention import SplitAttention

STAGES = ("c2", "c3", "c4", "c5")

NUM_BLOCKS: Mapping[int, tuple[int, int, int, int]] = {
    14: (1, 1, 1, 1),
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
"""Number of blocks of the stages c2 to c5 by depth (ResNeSt paper, section 4; timm for 14 and 26)."""

EXPANSION = 4
"""Output channels of a bottleneck relative to its planes (He et al. 2015)."""


class Shortcut(nn.Module):
    """Projection shortcut of the first block of a stage: optional average pooling, 1x1 convolution, normalization."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, avg_down: bool, norm: str) -> None:
        super().__init__()
        has_pool = avg_down and stride > 1
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if has_pool else None
        self.conv: nn.Module = make_conv(in_channels, out_channels, 1, stride=1 if avg_down else stride)
        self.norm = make_norm(norm, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        if self.pool is not None:
            x = self.pool(x)
        return self.norm(self.conv(x))


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
        deformable: Whether the 3x3 convolution is a modulated deformable one.
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
        deformable: bool = False,
        norm: str = "bn",
        drop_block: float = 0.0,
    ) -> None:
        super().__init__()
        out_channels = planes * EXPANSION
        conv_stride = 1 if avd else stride
        stride1, stride2 = (conv_stride, 1) if stride_in_1x1 else (1, conv_stride)
        self.conv1 = ConvNormAct(in_channels, width, 1, stride=stride1, norm=norm)
        self.avd_before = nn.AvgPool2d(3, stride, padding=1) if avd == "before" else None
        self.conv2: nn.Module
        if radix == 0:
            self.conv2 = ConvNormAct(width, width, 3, stride=stride2, dilation=dilation, groups=cardinality, norm=norm)
        else:
            groups = radix * cardinality
            conv: nn.Module
            if deformable:
                conv = DeformableConv2d(width, width * radix, stride=stride2, dilation=dilation, groups=groups)
            else:
                conv = make_conv(width, width * radix, 3, stride=stride2, dilation=dilation, groups=groups)
            self.conv2 = SplitAttention(conv, width, radix, cardinality, norm)
        self.avd_after = nn.AvgPool2d(3, stride, padding=1) if avd == "after" else None
        self.conv3 = ConvNormAct(width, out_channels, 1, norm=norm, act=False)
        self.shortcut = Shortcut(in_channels, out_channels, stride, avg_down, norm) if downsample else None
        self.drop_block = DropBlock(drop_block) if drop_block else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, 4 * planes, ceil(H / stride), ceil(W / stride)]``."""
        residual = self.drop_block(self.conv1(x))
        if self.avd_before is not None:
            residual = self.avd_before(residual)
        residual = self.drop_block(self.conv2(residual))
        if self.avd_after is not None:
            residual = self.avd_after(residual)
        residual = self.drop_block(self.conv3(residual))
        residual += x if self.shortcut is None else self.shortcut(x)
        return self.act(residual)


class ResNet(nn.Module):
    """Backbone of a stem, max pooling, and the stages c2 to c5.

    Args:
        stem: Convolutions before the stages.
        stages: Stages c2 to c5, sequences of ``Bottleneck``.
        channels: Number of output channels of each stage.
        strides: Stride of each stage in pixels of the input.
        max_pool: Whether there is max pooling with stride 2 between the stem and c2.
        frozen_stages: Number of frozen stages: 0 for none, 1 for the stem, 2 for the stem and c2, up to 5.
        out: Names of the stages whose features ``forward`` returns.

    Attributes:
        channels: Number of channels of each returned feature map, by name.
        strides: Stride of each returned feature map in pixels of the input, by name.
        checkpoint_stages: Names of the stages that are recomputed in the backward pass (gradient checkpointing).

    Raises:
        ValueError: ``out`` is empty or names an unknown stage.
    """

    channels: dict[str, int]
    strides: dict[str, int]
    checkpoint_stages: frozenset[str] = frozenset()

    def __init__(
        self,
        stem: nn.Sequential,
        stages: Sequence[nn.Sequential],
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        max_pool: bool = True,
        frozen_stages: int = 0,
        out: Collection[str] = STAGES,
    ) -> None:
        super().__init__()
        if unknown := sorted(set(out) - set(STAGES)) or (["nothing"] if not out else []):
            raise ValueError(f"out holds {unknown[0]!r}, but the stages are {', '.join(STAGES)}")
        self.out = tuple(out)
        self.frozen_stages = frozen_stages
        self.stem = stem
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if max_pool else nn.Identity()
        for name, stage in zip(STAGES, stages, strict=True):
            self.add_module(name, stage)
        self.channels = {name: value for name, value in zip(STAGES, channels, strict=True) if name in self.out}
        self.strides = {name: value for name, value in zip(STAGES, strides, strict=True) if name in self.out}
        for parameter in chain.from_iterable(part.parameters() for part in self.frozen_parts):
            parameter.requires_grad_(False)

    @property
    def frozen_parts(self) -> list[nn.Module]:
        """Frozen modules: the stem and the first stages."""
        return [self.stem, *(self.get_submodule(name) for name in STAGES)][: self.frozen_stages]

    @torch.no_grad()
    def zero_init_last(self) -> None:
        """Set the weight of the last normalization of each block to 0, so that blocks start as their shortcuts.

        Normalization layers without trainable weights are left as they are.
        """
        for block in self.modules():
            weight = getattr(block.conv3.norm, "weight", None) if isinstance(block, Bottleneck) else None
            if isinstance(weight, nn.Parameter) and weight.requires_grad:
                nn.init.zeros_(weight)

    def train(self, mode: bool = True) -> "ResNet":
        """Set the training mode; frozen stages stay in evaluation mode and keep their statistics."""
        super().train(mode)
        for part in self.frozen_parts:
            part.eval()
        return self

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalized images ``[N, 3, H, W]`` to ``{name: [N, channels, H / stride, W / stride]}`` (rounded up)."""
        x = self.pool(self.stem(images))
        features = {}
        for name in STAGES:
            stage = self.get_submodule(name)
            x = checkpointed(stage, x) if name in self.checkpoint_stages else stage(x)
            if name in self.out:
                features[name] = x
            if len(features) == len(self.out):
                break  # no later stage is used
        return features


def resnet(
    depth: int = 50,
    radix: int = 2,
    *,
    cardinality: int = 1,
    base_width: int = 64,
    planes: int = 64,
    stem: Literal["3x3", "7x7"] = "3x3",
    stem_width: int = 32,
    stem_stride: Literal[1, 2, 4] = 4,
    avg_down: bool = True,
    avd: bool = True,
    avd_first: bool = False,
    avd_in_dilated: bool = True,
    stride_in_1x1: bool = False,
    output_stride: Literal[8, 32] = 32,
    dcn_stages: Collection[int] = (),
    norm: str = "bn",
    drop_block: float = 0.0,
    frozen_stages: int = 0,
    out: Collection[str] = STAGES,
) -> ResNet:
    """Build a ResNet or ResNeSt.

    Args:
        depth: Depth, a key of ``NUM_BLOCKS``.
        radix: Number of splits of split attention; 0 for a ResNet.
        cardinality: Number of groups of the 3x3 convolutions.
        base_width: Width of a group, relative to 64.
        planes: Bottleneck width of c2 at base width 64; it doubles with each stage.
        stem: ``3x3`` for the deep stem of three convolutions, ``7x7`` for one.
        stem_width: Channels of the first two convolutions of the deep stem; the third has twice as many.
        stem_stride: Stride of c2: 4, 2 without max pooling, or 1 without any stride in the stem.
        avg_down: Whether projection shortcuts pool before their convolution.
        avd: Whether average pooling replaces the stride of 3x3 convolutions.
        avd_first: Whether that pooling comes before split attention instead of after it.
        avd_in_dilated: Whether the first block of a dilated stage has that pooling too, with stride 1.
        stride_in_1x1: Whether the stride of a block is in its first convolution.
        output_stride: Stride of c5 (at ``stem_stride`` 4); 8 dilates c4 by 2 and c5 by 4 instead of striding.
        dcn_stages: Stages (2 to 5) with modulated deformable convolutions.
        norm: Name of the normalization layer, see ``make_norm``.
        drop_block: Drop probability of DropBlock in c4 and c5 at the end of training.
        frozen_stages: Number of frozen stages, from the stem on.
        out: Names of the stages whose features are returned.

    Raises:
        ValueError: ``out`` is empty or names an unknown stage.
    """
    strides, dilations = ((1, 2, 2, 2), (1, 1, 1, 1)) if output_stride == 32 else ((1, 2, 1, 1), (1, 1, 2, 4))
    stem_layers, in_channels = make_stem(stem, stem_width, norm, stride=min(stem_stride, 2))
    stages: list[nn.Sequential] = []
    channels: list[int] = []
    total_strides: list[int] = []
    for index, num_blocks in enumerate(NUM_BLOCKS[depth]):
        stage_planes, stride, dilation = planes * 2**index, strides[index], dilations[index]
        has_avd = avd and (stride > 1 or (dilation > 1 and avd_in_dilated))
        stage = nn.Sequential()
        for block in range(num_blocks):
            is_first = block == 0
            stage.append(
                Bottleneck(
                    in_channels,
                    stage_planes,
                    width=int(stage_planes * base_width / 64) * cardinality,
                    stride=stride if is_first else 1,
                    dilation=max(dilation // 2, 1) if is_first else dilation,  # half of it, as in all sources
                    radix=radix,
                    cardinality=cardinality,
                    downsample=is_first,
                    avg_down=avg_down,
                    avd=("before" if avd_first else "after") if is_first and has_avd else None,
                    stride_in_1x1=stride_in_1x1,
                    deformable=index + 2 in dcn_stages,
                    norm=norm,
                    drop_block=drop_block if index >= 2 else 0.0,
                )
            )
            in_channels = stage_planes * EXPANSION
        stages.append(stage)
        channels.append(in_channels)
        total_strides.append(stride * (total_strides[-1] if total_strides else stem_stride))
    return ResNet(
        stem_layers,
        stages,
        channels,
        total_strides,
        max_pool=stem_stride == 4,
        frozen_stages=frozen_stages,
        out=out,
    )


def make_stem(kind: str, width: int, norm: str, stride: int = 2) -> tuple[nn.Sequential, int]:
    """Return the stem and its number of output channels: 64 for ``7x7``, ``2 * width`` for ``3x3``."""
    if kind == "7x7":
        return nn.Sequential(ConvNormAct(3, 64, 7, stride=stride, norm=norm)), 64
    return nn.Sequential(
        ConvNormAct(3, width, 3, stride=stride, norm=norm),
        ConvNormAct(width, width, 3, norm=norm),
        ConvNormAct(width, 2 * width, 3, norm=norm),
    ), 2 * width
