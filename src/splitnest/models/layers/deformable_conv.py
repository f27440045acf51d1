"""Deformable convolution."""

import torch
from torch import Tensor, nn

from splitnest.models.layers.precision import at_least_float32


class DeformableConv2d(nn.Module):
    """Deformable 3x3 convolution and its offset convolution (Dai et al. 2017, DCNv1; Zhu et al. 2019, DCNv2).

    The first ``18 * offset_groups`` channels of the offset convolution are pairs of a vertical and a horizontal offset
    of each of nine cells; the last ``9 * offset_groups``, after a sigmoid, are the modulation.

    Args:
        in_channels, out_channels: Number of channels.
        stride, dilation, groups: Same as in ``nn.Conv2d``.
        offset_groups: Number of groups of input channels that have their own offsets.
        modulated: Whether there is a modulation.
        grouped_offsets: Whether the offset convolution has ``offset_groups`` groups, as in the code that trained the
            published ResNeSts.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        offset_groups: int = 2,
        modulated: bool = True,
        grouped_offsets: bool = True,
    ) -> None:
        super().__init__()
        self.stride, self.dilation, self.groups, self.modulated = stride, dilation, groups, modulated
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, 3, 3))
        self.register_parameter("bias", None)  # a norm follows; folding it into the weights adds a bias
        self.offset = nn.Conv2d(
            in_channels,
            (27 if modulated else 18) * offset_groups,
            3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=offset_groups if grouped_offsets else 1,
        )
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias by default

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        from torchvision.ops import deform_conv2d

        # offsets are positions, and the operator does not support bfloat16
        predicted = at_least_float32(self.offset(x))
        offsets = 2 * predicted.shape[1] // 3 if self.modulated else predicted.shape[1]
        convolved = deform_conv2d(
            at_least_float32(x),
            predicted[:, :offsets],
            at_least_float32(self.weight),
            None if self.bias is None else at_least_float32(self.bias),
            stride=self.stride,
            padding=self.dilation,
            dilation=self.dilation,
            mask=predicted[:, offsets:].sigmoid() if self.modulated else None,
        )
        return convolved.to(x.dtype)
