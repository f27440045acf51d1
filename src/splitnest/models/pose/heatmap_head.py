"""Heatmap head of SimpleBaseline."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from splitnest.models.layers.conv import ConvNormAct, make_conv, make_norm

UPSAMPLING = 2
"""Factor of each transposed convolution, which has a kernel of 4 (Xiao et al. 2018, section 2)."""

INITIAL_STD = 0.001
"""Standard deviation of all initial weights of the head (mmpose ``HeatmapHead``)."""


class Deconv(nn.Module):
    """Transposed 4x4 convolution that doubles the resolution, normalization and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=UPSAMPLING, padding=1, bias=False)
        nn.init.normal_(self.conv.weight, std=INITIAL_STD)
        self.norm = make_norm(norm, out_channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, 2 H, 2 W]``."""
        return self.act(self.norm(self.conv(x)))


class HeatmapHead(nn.Module):
    """Transposed convolutions and perhaps a 1x1 convolution, then a 1x1 convolution to the heatmaps.

    Args:
        in_channels: Number of channels of the feature map.
        num_maps: K, the number of heatmaps.
        channels: Number of channels of each transposed convolution.
        norm: Name of the normalization.
        conv_channels: Number of channels of the 1x1 convolution before the last; None for none.
    """

    def __init__(
        self, in_channels: int, num_maps: int, channels: Sequence[int], norm: str, conv_channels: int | None = None
    ) -> None:
        super().__init__()
        widths = [in_channels, *channels]
        self.deconvs = nn.Sequential(*(Deconv(before, after, norm) for before, after in pairwise(widths)))
        self.conv: nn.Module = nn.Identity()
        if conv_channels is not None:
            conv = make_conv(widths[-1], conv_channels, 1, bias=True)
            nn.init.normal_(conv.weight, std=INITIAL_STD)
            self.conv = ConvNormAct(widths[-1], conv_channels, 1, norm=norm, conv=conv)
            widths.append(conv_channels)
        self.output = nn.Conv2d(widths[-1], num_maps, 1)
        nn.init.normal_(self.output.weight, std=INITIAL_STD)
        assert self.output.bias is not None
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to heatmaps ``[N, K, h, w]``, doubled by each layer."""
        return self.output(self.conv(self.deconvs(features)))
