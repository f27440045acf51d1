"""Split attention (ResNeSt, Zhang et al. 2020, section 3.1).

Shapes: N images, C channels of the output, R splits (radix), K groups (cardinality), H x W cells.
"""

import torch
from torch import Tensor, nn

from splitnest.layers.conv import make_norm
from splitnest.layers.recompute import norm_relu


class SplitAttention(nn.Module):
    """Weighs the R splits of a grouped convolution, channel by channel, by what the whole map holds.

    Args:
        conv: Maps C channels to ``R * C``, in ``R * K`` groups, split-major.
        channels: C.
        radix: R. With one split the weight is a sigmoid gate, otherwise a softmax over the splits.
        cardinality: K.
        norm: Name of the normalisation of the two inner layers.
    """

    def __init__(self, conv: nn.Module, channels: int, radix: int, cardinality: int, norm: str) -> None:
        super().__init__()
        self.channels, self.radix, self.cardinality = channels, radix, cardinality
        hidden = max(channels * radix // 4, 32)  # reduction factor 4, never under 32 channels
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
        """Return the weights ``[N, R, C]`` of the splits for pooled maps ``[N, C, 1, 1]``."""
        logits = self.fc2(self.act(self.fc1_norm(self.fc1(pooled))))
        if self.radix == 1:
            return logits.sigmoid().flatten(2).transpose(1, 2)
        # fc2 is grouped, so its channels come group by group, in each group split by split.
        logits = logits.view(-1, self.cardinality, self.radix, self.channels // self.cardinality)
        return logits.softmax(2).transpose(1, 2).flatten(2)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C, H', W']``, the size that ``conv`` gives."""
        splits = norm_relu(self.norm, self.act, self.conv(maps))
        splits = splits.unflatten(1, (self.radix, self.channels))  # [N, R, C, H', W']
        pooled = splits.mean((3, 4)).sum(1)[:, :, None, None]  # [N, C, 1, 1], without a map of sums
        weights = self.attention(pooled)[..., None, None]  # [N, R, C, 1, 1]
        if self.radix == 2:  # weights of a softmax, whose sum is 1: one pass instead of two
            return torch.lerp(splits[:, 1], splits[:, 0], weights[:, 0])
        weighed = splits[:, 0] * weights[:, 0]
        for split in range(1, self.radix):
            weighed = torch.addcmul(weighed, splits[:, split], weights[:, split])
        return weighed
