"""Feature pyramid network (Lin et al. 2017)."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.layers.conv import ConvNormAct


class FPN(nn.Module):
    """Maps c2 to c5 of a backbone to p2 to p5 of one width, and p6, every second cell of p5.

    Args:
        in_channels: Channels of the backbone's maps by name (``c2``...), finest first.
        channels: Channels of every level.
        norm: Name of the normalisation; None for biases.
    """

    def __init__(self, in_channels: Mapping[str, int], channels: int = 256, norm: str | None = None) -> None:
        super().__init__()
        self.lateral, self.output = nn.ModuleDict(), nn.ModuleDict()
        for name, width in in_channels.items():
            level = name.replace("c", "p")
            self.lateral[level] = ConvNormAct(width, channels, 1, norm=norm, act=False)
            self.output[level] = ConvNormAct(channels, channels, 3, norm=norm, act=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)  # Xavier's, as both code bases and Caffe2 call it

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map ``{"c2": [N, C2, H, W], ...}`` to ``{"p2": [N, channels, H, W], ..., "p6"}``.

        Levels are channels-first, as RoIAlign takes them: it would convert them once for each head.
        """
        above: Tensor | None = None
        levels: dict[str, Tensor] = {}
        for name, maps in reversed(list(features.items())):
            level = name.replace("c", "p")
            merged = self.lateral[level](maps)
            if above is not None:
                merged = merged + F.interpolate(above, size=merged.shape[-2:], mode="nearest")
            levels[level] = self.output[level](merged).contiguous()
            above = merged
        levels = dict(reversed(list(levels.items())))
        levels["p6"] = F.max_pool2d(levels["p5"], 1, stride=2)
        return levels
