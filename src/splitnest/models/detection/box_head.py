"""Box head: class logits and box deltas of pooled regions.

Shapes: R regions, C channels, K classes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.layers.conv import ConvNormAct
from splitnest.models.layers.precision import at_least_float32

POOLED = 7
"""Cells of a side of the pooled features of a region (FPN, section 5.2)."""


class BoxHead(nn.Module):
    """Convolutions and linear layers, then K + 1 class logits, background last, and box deltas.

    Args:
        in_channels: Number of channels of the pooled regions.
        num_classes: K.
        num_convs: Number of 3x3 convolutions.
        conv_channels: Number of channels of these convolutions.
        num_fcs: Number of linear layers after them.
        fc_channels: Number of output features of these linear layers.
        norm: Name of the normalization of the convolutions; None for biases instead.
        class_agnostic: Whether there is one box for all classes.
        standardize: Whether the weights of the convolutions are standardized.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        num_convs: int = 4,
        conv_channels: int = 256,
        num_fcs: int = 1,
        fc_channels: int = 1024,
        norm: str | None = "bn",
        class_agnostic: bool = False,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        widths = [in_channels, *[conv_channels] * num_convs]
        options: dict[str, Any] = {"norm": norm, "standardize": standardize}
        self.convs = nn.Sequential(*(ConvNormAct(widths[i], conv_channels, 3, **options) for i in range(num_convs)))
        features = [widths[-1] * POOLED**2, *[fc_channels] * num_fcs]
        self.fcs = nn.ModuleList(nn.Linear(features[i], fc_channels) for i in range(num_fcs))
        self.logits = nn.Linear(features[-1], num_classes + 1)
        self.deltas = nn.Linear(features[-1], 4 if class_agnostic else 4 * num_classes)
        for fc in self.fcs:
            assert isinstance(fc, nn.Linear)
            nn.init.kaiming_uniform_(fc.weight, a=1)
            nn.init.zeros_(fc.bias)
        for layer, std in ((self.logits, 0.01), (self.deltas, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[R, C, 7, 7]`` to logits ``[R, K + 1]`` and deltas ``[R, K * 4]`` (``[R, 4]`` if class-agnostic)."""
        hidden = self.convs(pooled)
        for fc in self.fcs:
            hidden = F.relu(_linear(fc, hidden), inplace=True)
        return at_least_float32(self.logits(hidden)), at_least_float32(self.deltas(hidden))


def of_class(by_class: Tensor, labels: Tensor) -> Tensor:
    """Return the values ``[R, 4]`` of one class each from those of all classes, ``[R, K, 4]``."""
    return by_class.gather(1, labels[:, None, None].expand(-1, 1, 4))[:, 0]


def _linear(fc: nn.Module, hidden: Tensor) -> Tensor:
    """Apply a linear layer to vectors ``[R, C]`` or pooled regions ``[R, C, h, w]``.

    On CPUs it runs as a convolution over the whole region: pooled features are channels-last, and flattening would copy
    them. In training the convolution would need more memory than the copy.
    """
    assert isinstance(fc, nn.Linear)
    if hidden.ndim == 4 and hidden.device.type == "cpu" and not torch.is_grad_enabled():
        return F.conv2d(hidden, fc.weight.unflatten(1, hidden.shape[1:]), fc.bias).flatten(1)
    return fc(hidden.flatten(1))
