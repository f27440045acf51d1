"""High-resolution feature pyramid (HRFPN, Sun et al. 2019, "High-Resolution Representations for Labeling Pixels")."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.layers.conv import ConvNormAct

LEVELS = ("p2", "p3", "p4", "p5", "p6")


class HRFPN(nn.Module):
    """Feature pyramid p2 to p6: all branches concatenated at the finest resolution, reduced, and average-pooled.

    Args:
        in_channels: Number of channels of each backbone feature map by name (``c2``, ...), finest first.
        channels: Number of channels of every level.
    """

    def __init__(self, in_channels: Mapping[str, int], channels: int = 256) -> None:
        super().__init__()
        self.sources = tuple(in_channels)
        self.reduction = ConvNormAct(sum(in_channels.values()), channels, 1, norm=None, act=False)
        self.output = nn.ModuleDict(
            {level: ConvNormAct(channels, channels, 3, norm=None, act=False) for level in LEVELS}
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)  # Xavier uniform, as in FPN

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map ``{"c2": [N, C2, H, W], ...}`` to ``{"p2": [N, channels, H, W], ..., "p6"}``.

        Levels are contiguous (channels-first), as RoIAlign needs them.
        """
        finest, *others = (features[name] for name in self.sources)
        resized = [
            F.interpolate(x, scale_factor=2.0 ** (i + 1), mode="bilinear", align_corners=False)
            for i, x in enumerate(others)
        ]
        x = self.reduction(torch.cat([finest, *resized], dim=1))
        pooled = [x, *(_average_pool(x, 2**i) for i in range(1, len(LEVELS)))]
        return {level: self.output[level](p).contiguous() for level, p in zip(LEVELS, pooled, strict=True)}


def _average_pool(x: Tensor, factor: int) -> Tensor:
    """Return a map pooled by a factor, of one cell at least: in small images the coarsest level would be empty."""
    height, width = x.shape[-2:]
    if height >= factor and width >= factor:
        return F.avg_pool2d(x, factor)
    return F.avg_pool2d(x, (min(height, factor), min(width, factor)))
