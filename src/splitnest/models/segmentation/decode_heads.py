"""Decode heads of semantic segmentation: FCN, PSP, ASPP (DeepLabV3), separable ASPP (DeepLabV3+) and OCR.

Shapes: N images, h x w cells of c5 (output stride 8), K classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.layers.conv import ConvNormAct
from splitnest.models.layers.precision import at_least_float32
from splitnest.models.layers.resize_concat import resize_concat

POOL_SIZES = (1, 2, 3, 6)
"""Sides of the pooled features in cells (PSPNet, Zhao et al. 2017)."""


class DecodeHead(nn.Module):
    """Base class of decode heads: channel dropout, and a 1x1 convolution as classifier.

    Args:
        channels: Number of input channels of the classifier.
        num_classes: Number of classes.
        dropout: Dropout probability of a channel.
        align_corners: Whether resizing maps the corner cells of feature maps to each other.
    """

    def __init__(self, channels: int, num_classes: int, dropout: float, align_corners: bool = False) -> None:
        super().__init__()
        self.dropout, self.align_corners = nn.Dropout2d(dropout), align_corners
        self.logits = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias by default

    def classify(self, x: Tensor) -> Tensor:
        """Map ``[N, channels, h, w]`` to logits ``[N, K, h, w]``."""
        return at_least_float32(self.logits(self.dropout(x)))

    def resize(self, x: Tensor, like: Tensor) -> Tensor:
        """Return ``[N, C, h', w']`` resized bilinearly to the size of ``[N, C', h, w]``."""
        return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=self.align_corners)


class FCNHead(DecodeHead):
    """FCN head (Long et al. 2015, as in mmsegmentation): convolutions, fused with their input.

    Args:
        sources: Names of the input features; several are resized to the first one and concatenated.
        in_channels: Number of their channels, all together.
        num_classes: Number of classes.
        channels: Number of channels of the convolutions.
        norm: Name of the normalization.
        dropout: Dropout probability of a channel.
        num_convs: Number of convolutions.
        kernel_size: Side of their kernels in cells.
        dilation: Dilation of these convolutions.
        concat_input: Whether a further convolution fuses their output with the input.
        align_corners: Same as in ``DecodeHead``.
    """

    def __init__(
        self,
        sources: Sequence[str],
        in_channels: int,
        num_classes: int,
        channels: int = 512,
        *,
        norm: str = "bn",
        dropout: float = 0.1,
        num_convs: int = 2,
        kernel_size: int = 3,
        dilation: int = 1,
        concat_input: bool = True,
        align_corners: bool = False,
    ) -> None:
        super().__init__(channels, num_classes, dropout, align_corners)
        self.sources = tuple(sources)
        widths = [in_channels, *[channels] * num_convs]
        self.convs = nn.Sequential(
            *(ConvNormAct(widths[i], channels, kernel_size, dilation=dilation, norm=norm) for i in range(num_convs))
        )
        self.fuse = ConvNormAct(in_channels + channels, channels, 3, norm=norm) if concat_input else None

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits ``[N, K, h, w]`` for the features of the backbone."""
        x = resize_concat([features[name] for name in self.sources], self.align_corners)
        hidden = self.convs(x)
        if self.fuse is not None:
            hidden = self.fuse(torch.cat((x, hidden), dim=1))
        return self.classify(hidden)


class PSPHead(DecodeHead):
    """Pyramid pooling head (PSPNet, Zhao et al. 2017): c5 fused with its averages over grids of 1, 2, 3 and 6 cells.

    Args:
        in_channels: Number of channels of c5.
        num_classes: Number of classes.
        channels: Number of channels of the convolutions.
        norm: Name of the normalization.
        dropout: Dropout probability of a channel.
        align_corners: Same as in ``DecodeHead``.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 512,
        *,
        norm: str = "bn",
        dropout: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__(channels, num_classes, dropout, align_corners)
        self.pools = nn.ModuleList(ConvNormAct(in_channels, channels, 1, norm=norm) for _ in POOL_SIZES)
        self.fuse = ConvNormAct(in_channels + len(POOL_SIZES) * channels, channels, 3, norm=norm)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits ``[N, K, h, w]`` for the features of the backbone."""
        x = features["c5"]
        pooled = [conv(_pool(x, cells)) for conv, cells in zip(self.pools, POOL_SIZES, strict=True)]
        return self.classify(self.fuse(torch.cat((x, *(self.resize(p, x) for p in pooled)), dim=1)))


class ASPPHead(DecodeHead):
    """Atrous spatial pyramid pooling (ASPP, DeepLabV3, Chen et al. 2017): image pooling, 1x1 and dilated convolutions.

    Args:
        in_channels: Number of channels of c5.
        num_classes: Number of classes.
        channels: Number of channels of the convolutions.
        norm: Name of the normalization.
        dropout: Dropout probability of a channel.
        align_corners: Same as in ``DecodeHead``.
        dilations: Dilations of the 3x3 convolutions.
        separable: Whether the dilated convolutions are depthwise separable.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 512,
        *,
        norm: str = "bn",
        dropout: float = 0.1,
        align_corners: bool = False,
        dilations: Sequence[int] = (12, 24, 36),
        separable: bool = False,
    ) -> None:
        super().__init__(channels, num_classes, dropout, align_corners)
        self.image_pool = ConvNormAct(in_channels, channels, 1, norm=norm)
        self.branches = nn.ModuleList([ConvNormAct(in_channels, channels, 1, norm=norm)])
        for dilation in dilations:
            self.branches.append(
                SeparableConv(in_channels, channels, dilation, norm=norm)
                if separable
                else ConvNormAct(in_channels, channels, 3, dilation=dilation, norm=norm)
            )
        self.fuse = ConvNormAct((2 + len(dilations)) * channels, channels, 3, norm=norm)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits ``[N, K, h, w]`` for the features of the backbone."""
        return self.classify(self.context(features["c5"]))

    def context(self, x: Tensor) -> Tensor:
        """Return the fused branches ``[N, channels, h, w]`` for c5."""
        mean = self.resize(self.image_pool(F.adaptive_avg_pool2d(x, 1)), x)
        return self.fuse(torch.cat((mean, *(branch(x) for branch in self.branches)), dim=1))


class SeparableASPPHead(ASPPHead):
    """Separable ASPP refined with c2 at its resolution (DeepLabV3+, Chen et al. 2018).

    Args:
        in_channels, c2_channels: Number of channels of c5 and of c2.
        num_classes: Number of classes.
        channels: Number of channels of the convolutions.
        norm: Name of the normalization.
        dropout: Dropout probability of a channel.
        align_corners: Same as in ``DecodeHead``.
        dilations: Dilations of the 3x3 convolutions of ASPP.
        reduced_c2_channels: Number of channels that c2 is reduced to.
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
        align_corners: bool = False,
        dilations: Sequence[int] = (12, 24, 36),
        reduced_c2_channels: int = 48,
    ) -> None:
        super().__init__(
            in_channels,
            num_classes,
            channels,
            norm=norm,
            dropout=dropout,
            align_corners=align_corners,
            dilations=dilations,
            separable=True,
        )
        self.c2 = ConvNormAct(c2_channels, reduced_c2_channels, 1, norm=norm)
        self.refine = nn.Sequential(
            SeparableConv(channels + reduced_c2_channels, channels, norm=norm),
            SeparableConv(channels, channels, norm=norm),
        )

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits ``[N, K, h, w]`` for the features of the backbone, at the resolution of c2."""
        fine = self.c2(features["c2"])
        return self.classify(self.refine(torch.cat((self.resize(self.context(features["c5"]), fine), fine), dim=1)))


class SeparableConv(nn.Module):
    """Depthwise separable convolution: depthwise 3x3 and pointwise 1x1, each with normalization and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1, *, norm: str = "bn") -> None:
        super().__init__()
        self.depthwise = ConvNormAct(in_channels, in_channels, 3, dilation=dilation, groups=in_channels, norm=norm)
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, h, w]`` to ``[N, out_channels, h, w]``."""
        return self.pointwise(self.depthwise(x))


def _pool(x: Tensor, cells: int) -> Tensor:
    """Average ``[N, C, h, w]`` over a grid of ``cells`` x ``cells``."""
    if not torch.compiler.is_exporting():
        return F.adaptive_avg_pool2d(x, cells)
    # ONNX has no adaptive pooling for any input size
    vertical, horizontal = (_averaging_matrix(side, cells, x) for side in x.shape[2:])
    return vertical @ x @ horizontal.T


def _averaging_matrix(side: int, cells: int, like: Tensor) -> Tensor:
    """Return the matrix ``[cells, side]`` of ``adaptive_avg_pool2d`` along one side."""
    cell = torch.arange(cells, device=like.device)[:, None]
    position = torch.arange(side, device=like.device)
    within = (position >= cell * side // cells) & (position * cells < (cell + 1) * side)
    return within.to(like.dtype) / within.sum(1, keepdim=True)
