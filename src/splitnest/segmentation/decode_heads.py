"""Decode heads: from the maps of a dilated backbone to a logit of each class in each cell.

Shapes: N images, h x w cells of c5 (output stride 8), K classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.layers.conv import ConvNormAct
from splitnest.layers.precision import at_least_float32

POOL_SIZES = (1, 2, 3, 6)
"""Cells of a side of each pooled map (PSPNet, Zhao et al. 2017)."""

DILATIONS = (12, 24, 36)
"""Of the 3x3 convolutions of ASPP at output stride 8 (DeepLabV3, Chen et al. 2017)."""

C2_CHANNELS = 48
"""To which DeepLabV3+ reduces c2 (Chen et al. 2018, table 1)."""


class DecodeHead(nn.Module):
    """What all heads share: dropout of whole channels, and a 1x1 convolution that classifies.

    Args:
        channels: Channels that the classifier sees.
        num_classes: K.
        dropout: Share of channels that are dropped, in training.
    """

    def __init__(self, channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        self.logits = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias unless told otherwise

    def classify(self, maps: Tensor) -> Tensor:
        """Map ``[N, channels, h, w]`` to logits ``[N, K, h, w]``."""
        return at_least_float32(self.logits(self.dropout(maps)))


class FCNHead(DecodeHead):
    """3x3 convolutions, and one more on their input and output together (FCN, Long et al. 2015, as mmsegmentation).

    Args:
        source: Name of the map that it sees.
        in_channels: Its channels.
        num_classes, channels, norm, dropout: Of the head.
        num_convs: Convolutions before the classifier.
        concat_input: Join input and output, or leave the last convolution out.
    """

    def __init__(
        self,
        source: str,
        in_channels: int,
        num_classes: int,
        channels: int = 512,
        *,
        norm: str = "bn",
        dropout: float = 0.1,
        num_convs: int = 2,
        concat_input: bool = True,
    ) -> None:
        super().__init__(channels, num_classes, dropout)
        self.source = source
        widths = [in_channels, *[channels] * num_convs]
        self.convs = nn.Sequential(*(ConvNormAct(widths[i], channels, 3, norm=norm) for i in range(num_convs)))
        self.fuse = ConvNormAct(in_channels + channels, channels, 3, norm=norm) if concat_input else None

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits of the backbone's ``features``."""
        maps = features[self.source]
        hidden = self.convs(maps)
        if self.fuse is not None:
            hidden = self.fuse(torch.cat((maps, hidden), dim=1))
        return self.classify(hidden)


class PSPHead(DecodeHead):
    """Pools c5 to grids of 1, 2, 3 and 6 cells, and joins them with it (PSPNet, Zhao et al. 2017).

    Args:
        in_channels: Of c5.
        num_classes, channels, norm, dropout: Of the head.
    """

    def __init__(
        self, in_channels: int, num_classes: int, channels: int = 512, *, norm: str = "bn", dropout: float = 0.1
    ) -> None:
        super().__init__(channels, num_classes, dropout)
        self.pools = nn.ModuleList(ConvNormAct(in_channels, channels, 1, norm=norm) for _ in POOL_SIZES)
        self.fuse = ConvNormAct(in_channels + len(POOL_SIZES) * channels, channels, 3, norm=norm)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits of the backbone's ``features``."""
        maps = features["c5"]
        pooled = [conv(_pool(maps, cells)) for conv, cells in zip(self.pools, POOL_SIZES, strict=True)]
        return self.classify(self.fuse(torch.cat((maps, *(_resize(p, maps) for p in pooled)), dim=1)))


class ASPPHead(DecodeHead):
    """Sees c5 in five ways: its mean, a 1x1 and three dilated 3x3 convolutions (DeepLabV3, Chen et al. 2017).

    Args:
        in_channels: Of c5.
        num_classes, channels, norm, dropout: Of the head.
        separable: The dilated convolutions are depthwise separable.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 512,
        *,
        norm: str = "bn",
        dropout: float = 0.1,
        separable: bool = False,
    ) -> None:
        super().__init__(channels, num_classes, dropout)
        self.image_pool = ConvNormAct(in_channels, channels, 1, norm=norm)
        self.branches = nn.ModuleList([ConvNormAct(in_channels, channels, 1, norm=norm)])
        for dilation in DILATIONS:
            self.branches.append(
                SeparableConv(in_channels, channels, dilation, norm=norm)
                if separable
                else ConvNormAct(in_channels, channels, 3, dilation=dilation, norm=norm)
            )
        self.fuse = ConvNormAct((2 + len(DILATIONS)) * channels, channels, 3, norm=norm)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits of the backbone's ``features``."""
        return self.classify(self.context(features["c5"]))

    def context(self, maps: Tensor) -> Tensor:
        """Map c5 to ``[N, channels, h, w]``."""
        mean = _resize(self.image_pool(F.adaptive_avg_pool2d(maps, 1)), maps)
        return self.fuse(torch.cat((mean, *(branch(maps) for branch in self.branches)), dim=1))


class SeparableASPPHead(ASPPHead):
    """Separable ASPP, joined with c2 at its size (DeepLabV3+, Chen et al. 2018).

    Args:
        in_channels, c2_channels: Of c5 and c2.
        num_classes, channels, norm, dropout: Of the head.
    """

    def __init__(
        self,
        in_channels: int,
        c2_channels: int,
        num_classes: int,
        channels: int = 512,
        *,
        norm: str = "bn",
        dropout: float = 0.1,
    ) -> None:
        super().__init__(in_channels, num_classes, channels, norm=norm, dropout=dropout, separable=True)
        self.c2 = ConvNormAct(c2_channels, C2_CHANNELS, 1, norm=norm)
        self.refine = nn.Sequential(
            SeparableConv(channels + C2_CHANNELS, channels, norm=norm), SeparableConv(channels, channels, norm=norm)
        )

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits of the backbone's ``features``, in cells of c2."""
        fine = self.c2(features["c2"])
        return self.classify(self.refine(torch.cat((_resize(self.context(features["c5"]), fine), fine), dim=1)))


class SeparableConv(nn.Module):
    """A 3x3 convolution of each channel, then a 1x1 one across them, each with normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1, *, norm: str = "bn") -> None:
        super().__init__()
        self.depthwise = ConvNormAct(in_channels, in_channels, 3, dilation=dilation, groups=in_channels, norm=norm)
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, norm=norm)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[N, in_channels, h, w]`` to ``[N, out_channels, h, w]``."""
        return self.pointwise(self.depthwise(maps))


def _resize(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _pool(maps: Tensor, cells: int) -> Tensor:
    """Average ``[N, C, h, w]`` to ``cells`` a side."""
    if not torch.compiler.is_exporting():
        return F.adaptive_avg_pool2d(maps, cells)
    down, across = (_averages(side, cells, maps) for side in maps.shape[2:])  # ONNX has no such pooling of any size
    return down @ maps @ across.T


def _averages(side: int, cells: int, like: Tensor) -> Tensor:
    """Return the matrix ``[cells, side]`` that averages as ``adaptive_avg_pool2d`` does."""
    cell = torch.arange(cells, device=like.device)[:, None]
    position = torch.arange(side, device=like.device)
    within = (position >= cell * side // cells) & (position * cells < (cell + 1) * side)
    return within.to(like.dtype) / within.sum(1, keepdim=True)
