"""The second stage: class logits and box deltas of pooled regions.

Shapes: R regions, C channels, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.layers.conv import ConvNormAct
from splitnest.layers.precision import at_least_float32

POOLED = 7
"""Cells of a side of a region that a box head sees (FPN, section 5.2)."""


class BoxHead(nn.Module):
    """Convolutions, linear layers, then K + 1 class logits, the last for the background, and box deltas.

    Args:
        in_channels: Channels of the pooled regions.
        num_classes: K.
        num_convs, channels: The 3x3 convolutions before the linear layers.
        num_fcs, features: The linear layers.
        norm: Name of the normalisation of the convolutions; None for biases.
        class_agnostic: One box for all classes.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        num_convs: int = 4,
        channels: int = 256,
        num_fcs: int = 1,
        features: int = 1024,
        norm: str | None = "bn",
        class_agnostic: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        widths = [in_channels, *[channels] * num_convs]
        self.convs = nn.Sequential(*(ConvNormAct(widths[i], channels, 3, norm=norm) for i in range(num_convs)))
        flat = [widths[-1] * POOLED**2, *[features] * num_fcs]
        self.fcs = nn.ModuleList(nn.Linear(flat[i], features) for i in range(num_fcs))
        self.logits = nn.Linear(flat[-1], num_classes + 1)
        self.deltas = nn.Linear(flat[-1], 4 if class_agnostic else 4 * num_classes)
        for fc in self.fcs:
            assert isinstance(fc, nn.Linear)
            nn.init.kaiming_uniform_(fc.weight, a=1)
            nn.init.zeros_(fc.bias)
        for layer, deviation in ((self.logits, 0.01), (self.deltas, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[R, C, 7, 7]`` to logits ``[R, K + 1]`` and deltas ``[R, K * 4]`` (``[R, 4]`` when class-agnostic)."""
        hidden = self.convs(pooled)
        for fc in self.fcs:
            hidden = F.relu(_linear(fc, hidden), inplace=True)
        return at_least_float32(self.logits(hidden)), at_least_float32(self.deltas(hidden))


def _linear(fc: nn.Module, hidden: Tensor) -> Tensor:
    """Apply a linear layer to vectors ``[R, C]`` or whole regions ``[R, C, h, w]``.

    On a processor it is a convolution over all of a region: its maps are channels-last, and flattening would copy them.
    In training that would take more memory than the copy does.
    """
    assert isinstance(fc, nn.Linear)
    if hidden.ndim == 4 and hidden.device.type == "cpu" and not torch.is_grad_enabled():
        return F.conv2d(hidden, fc.weight.unflatten(1, hidden.shape[1:]), fc.bias).flatten(1)
    return fc(hidden.flatten(1))
