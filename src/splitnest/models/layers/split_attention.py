"""Split attention (ResNeSt, Zhang et al. 2020, section 3.1).

Shapes: N images, C channels of the output, R splits (radix), K groups (cardinality), H x W cells.
"""

import torch
from torch import Tensor, nn

from splitnest.models.layers.conv import make_norm
from splitnest.models.layers.recompute import norm_relu


class SplitAttention(nn.Module):
    """Split attention: channel-wise weighted sum of the R splits of a grouped convolution.

    Args:
        conv: Convolution from C to ``R * C`` channels in ``R * K`` groups, split-major.
        channels: Number of output channels C.
        radix: Number of splits R. The weights are a softmax over the splits, or a sigmoid gate for one split.
        cardinality: Number of groups K.
        norm: Name of the normalization after both inner convolutions.
    """

    def __init__(self, conv: nn.Module, channels: int, radix: int, cardinality: int, norm: str) -> None:
        super().__init__()
        self.channels, self.radix, self.cardinality = channels, radix, cardinality
        hidden = max(channels * radix // 4, 32)  # reduction factor 4, at least 32 channels
        self.conv = conv
        self.norm = make_norm(norm, channels * radix)
        self.act: nn.Module = nn.ReLU(inplace=True)
        self.fc1: nn.Module = nn.Conv2d(channels, hidden, 1, groups=cardinality)
        self.fc1_norm = make_norm(norm, hidden)
        self.fc2 = nn.Conv2d(hidden, channels * radix, 1, groups=cardinality)
        for fc in (self.fc1, self.fc2):
            assert isinstance(fc, nn.Conv2d)
            nn.init.kaiming_normal_(fc.weight, mode="fan_out", nonlinearity="relu")

    def attention(self, pooled: Tensor) -> Tensor:
        """Return the weights ``[N, R, C]`` of the splits for pooled features ``[N, C, 1, 1]``."""
        logits = self.fc2(self.act(self.fc1_norm(self.fc1(pooled))))
        if self.radix == 1:
            return logits.sigmoid().flatten(2).transpose(1, 2)
        # fc2 is grouped, so its channels are group-major, and split-major within a group.
        logits = logits.view(-1, self.cardinality, self.radix, self.channels // self.cardinality)
        return logits.softmax(2).transpose(1, 2).flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C, H', W']``, the output size of ``conv``."""
        splits = norm_relu(self.norm, self.act, self.conv(x))
        splits = splits.unflatten(1, (self.radix, self.channels))  # [N, R, C, H', W']
        pooled = splits.mean((3, 4)).sum(1)[:, :, None, None]  # [N, C, 1, 1], without a tensor of sums
        weights = self.attention(pooled)[..., None, None]  # [N, R, C, 1, 1]
        if self.radix == 2:  # softmax weights add up to 1: one pass instead of two
            return torch.lerp(splits[:, 1], splits[:, 0], weights[:, 0])
        weighted = splits[:, 0] * weights[:, 0]
        for split in range(1, self.radix):
            weighted = torch.addcmul(weighted, splits[:, split], weights[:, split])
        return weighted
