"""ResNet and ResNeSt: one stem, one bottleneck, one backbone for all published variants."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from splitnest.layers.conv import ConvNormAct, DeformableConv2d, make_conv, make_norm
from splitnest.layers.drop_block import DropBlock
from splitnest.layers.split_attention import SplitAttention

STAGES = ("c2", "c3", "c4", "c5")
EXPANSION = 4
"""Output channels of a bottleneck over its planes (He et al. 2015)."""


class Shortcut(nn.Module):
    """Projects the input of a stage's first block to its output, pooling before the convolution or striding in it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, avg_down: bool, norm: str) -> None:
        super().__init__()
        pools = avg_down and stride > 1
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if pools else None
        self.conv: nn.Module = make_conv(in_channels, out_channels, 1, stride=1 if avg_down else stride)
        self.norm = make_norm(norm, out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        if self.pool is not None:
            maps = self.pool(maps)
        return self.norm(self.conv(maps))


class Bottleneck(nn.Module):
    """1x1 convolution, 3x3 convolution or split attention, 1x1 convolution, around a shortcut.

    Args:
        in_channels: Channels of the input.
        planes: A quarter of the channels of the output.
        width: Channels between the convolutions.
        stride: Of the block.
        dilation: Of the 3x3 convolution.
        radix: Splits of the split attention; 0 for a plain 3x3 convolution.
        cardinality: Groups of the 3x3 convolution.
        projects: The shortcut changes channels or size.
        avg_down: That shortcut pools before it projects.
        avd: Where average pooling stands in for the stride: before or after the 3x3 convolution, or None.
        stride_in_1x1: A stride that is left to the convolutions is in the first.
        deformable: The 3x3 convolution is a modulated deformable one.
        norm: Name of the normalisation.
        drop_block: Share of each of its three maps that is dropped at the end of a training.
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
        projects: bool = False,
        avg_down: bool = True,
        avd: str | None = None,
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
        self.shortcut = Shortcut(in_channels, out_channels, stride, avg_down, norm) if projects else None
        self.drop_block = DropBlock(drop_block) if drop_block else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, 4 * planes, ceil(H / stride), ceil(W / stride)]``."""
        residual = self.drop_block(self.conv1(maps))
        if self.avd_before is not None:
            residual = self.avd_before(residual)
        residual = self.drop_block(self.conv2(residual))
        if self.avd_after is not None:
            residual = self.avd_after(residual)
        residual = self.drop_block(self.conv3(residual))
        residual += maps if self.shortcut is None else self.shortcut(maps)
        return self.act(residual)


class ResNet(nn.Module):
    """The backbone of every model: a stem, max pooling, and the stages c2 to c5.

    Args:
        stem: Maps images to a quarter of the channels of c2, or as many as its first block takes.
        stages: The stages c2 to c5, sequences of ``Bottleneck``.
        channels: Channels after each stage.
        strides: Input pixels of a cell after each stage.
        frozen_stages: 0 trains everything, 1 freezes the stem, 2 the stem and c2, up to 5.
        out: Names of the stages whose maps ``forward`` returns.
        pools: Max pooling with stride 2 comes between the stem and c2.

    Attributes:
        channels: Channels of each returned map, by name.
        strides: Input pixels of a cell of each returned map, by name.
    """

    channels: dict[str, int]
    strides: dict[str, int]

    def __init__(
        self,
        stem: nn.Sequential,
        stages: Sequence[nn.Sequential],
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        frozen_stages: int = 0,
        out: Sequence[str] = STAGES,
        pools: bool = True,
    ) -> None:
        super().__init__()
        if unknown := sorted(set(out) - set(STAGES)) or (["nothing"] if not out else []):
            raise ValueError(f"out holds {unknown[0]!r}, but the stages are {', '.join(STAGES)}")
        self.out = tuple(out)
        self.frozen_stages = frozen_stages
        self.stem = stem
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if pools else nn.Identity()
        for name, stage in zip(STAGES, stages, strict=True):
            self.add_module(name, stage)
        self.channels = {name: value for name, value in zip(STAGES, channels, strict=True) if name in self.out}
        self.strides = {name: value for name, value in zip(STAGES, strides, strict=True) if name in self.out}
        for parameter in chain.from_iterable(part.parameters() for part in self.frozen_parts):
            parameter.requires_grad_(False)

    @property
    def frozen_parts(self) -> list[nn.Module]:
        """The modules that do not train."""
        return [self.stem, *(self.get_submodule(name) for name in STAGES)][: self.frozen_stages]

    @torch.no_grad()
    def begin_as_shortcuts(self) -> None:
        """Set the weight of the last normalisation of each bottleneck to 0: what is added to its shortcut is then 0.

        Normalisation that does not train keeps its weight.
        """
        for block in self.modules():
            weight = getattr(block.conv3.norm, "weight", None) if isinstance(block, Bottleneck) else None
            if isinstance(weight, nn.Parameter) and weight.requires_grad:
                nn.init.zeros_(weight)

    def train(self, mode: bool = True) -> "ResNet":
        """Set the training mode; the statistics of frozen stages stay as they are."""
        super().train(mode)
        for part in self.frozen_parts:
            part.eval()
        return self

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images ``[N, 3, H, W]`` to ``{name: [N, channels, H / stride, W / stride]}`` (rounded up)."""
        maps = self.pool(self.stem(images))
        features = {}
        for name in STAGES:
            maps = self.get_submodule(name)(maps)
            if name in self.out:
                features[name] = maps
            if len(features) == len(self.out):
                break  # later stages are nobody's input
        return features


def make_stem(kind: str, width: int, norm: str, stride: int = 2) -> tuple[nn.Sequential, int]:
    """Return the stem and its output channels: 64 of the 7x7, ``2 * width`` of the three 3x3."""
    if kind == "7x7":
        return nn.Sequential(ConvNormAct(3, 64, 7, stride=stride, norm=norm)), 64
    return nn.Sequential(
        ConvNormAct(3, width, 3, stride=stride, norm=norm),
        ConvNormAct(width, width, 3, norm=norm),
        ConvNormAct(width, 2 * width, 3, norm=norm),
    ), 2 * width
