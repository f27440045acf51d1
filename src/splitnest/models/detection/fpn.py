"""Feature pyramid network (FPN, Lin et al. 2017)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.layers.conv import ConvNormAct


class FPN(nn.Module):
    """Feature pyramid p2 to p5 of c2 to c5, and p6, every second cell of p5.

    Args:
        in_channels: Number of channels of each backbone feature map by name (``c2``, ...), finest first.
        channels: Number of channels of every level.
        norm: Name of the normalization layer; None for biases instead.
        standardize: Whether the weights of convolutions are standardized.
    """

    def __init__(
        self,
        in_channels: Mapping[str, int],
        channels: int = 256,
        norm: str | None = None,
        *,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        self.lateral, self.output = nn.ModuleDict(), nn.ModuleDict()
        for name, width in in_channels.items():
            level = name.replace("c", "p")
            options: dict[str, Any] = {"norm": norm, "act": False, "standardize": standardize}
            self.lateral[level] = ConvNormAct(width, channels, 1, **options)
            self.output[level] = ConvNormAct(channels, channels, 3, **options)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)  # Xavier uniform in both code bases and in Caffe2

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map ``{"c2": [N, C2, H, W], ...}`` to ``{"p2": [N, channels, H, W], ..., "p6"}``.

        Levels are contiguous (channels-first), as RoIAlign needs them: it would convert them for each head.
        """
        coarser: Tensor | None = None
        pyramid: dict[str, Tensor] = {}
        for level in reversed(list(self.lateral)):
            merged = self.lateral[level](features[level.replace("p", "c")])
            if coarser is not None:
                merged = merged + F.interpolate(coarser, size=merged.shape[-2:], mode="nearest")
            pyramid[level] = self.output[level](merged).contiguous()
            coarser = merged
        pyramid = dict(reversed(list(pyramid.items())))
        pyramid["p6"] = F.max_pool2d(pyramid["p5"], 1, stride=2)
        return pyramid
