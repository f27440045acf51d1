"""Global context block (GCNet, Cao et al. 2019).

Shapes: N images, C channels, H x W cells.
"""

import torch
from torch import Tensor, nn


class ContextBlock(nn.Module):
    """Adds to every cell a function of the features of all cells, which are averaged with learned attention.

    Args:
        channels: Number of channels C.
        ratio: Inner channels relative to C.
    """

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        inner = int(channels * ratio)
        self.mask = nn.Conv2d(channels, 1, 1)
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.norm = nn.LayerNorm([inner, 1, 1])
        self.act = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(inner, channels, 1)
        nn.init.kaiming_normal_(self.mask.weight, mode="fan_in", nonlinearity="relu")
        for layer in (self.mask, self.expand):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias by default
        nn.init.zeros_(self.expand.weight)  # the block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same shape."""
        attention = self.mask(x).flatten(1).softmax(1)[..., None]  # [N, H * W, 1]
        context = torch.bmm(x.flatten(2), attention)[..., None]  # [N, C, 1, 1]
        return x + self.expand(self.act(self.norm(self.reduce(context))))
