"""The semantic branch of Panoptic FPN (Kirillov et al. 2019, section 3.1)."""

from collections.abc import Mapping
from functools import reduce

from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.data.panoptic_labels import UNLABELLED
from splitnest.detection.operators import ROI_LEVELS, ROI_STRIDES
from splitnest.layers.conv import ConvNormAct
from splitnest.layers.precision import at_least_float32
from splitnest.processes import mean_count

STRIDE = ROI_STRIDES[0]
"""Input pixels of a cell in which the levels are added."""


class SemanticHead(nn.Module):
    """Convolves each level and doubles its size until it is that of p2, adds them up, and classifies every pixel.

    Args:
        in_channels: Channels of every level.
        num_classes: All things as one class, then each kind of stuff.
        channels: Of the convolutions.
        norm: Name of their normalisation; None for biases.
    """

    def __init__(self, in_channels: int, num_classes: int, *, channels: int = 128, norm: str | None = None) -> None:
        super().__init__()
        self.levels = nn.ModuleDict()
        for name, stride in zip(ROI_LEVELS, ROI_STRIDES, strict=True):
            self.levels[name] = branch = nn.Sequential(ConvNormAct(in_channels, channels, 3, norm=norm))
            for doubling in range((stride // STRIDE).bit_length() - 1):
                if doubling:
                    branch.append(ConvNormAct(channels, channels, 3, norm=norm))
                branch.append(nn.Upsample(scale_factor=2.0, mode="bilinear"))
        self.logits = nn.Conv2d(channels, num_classes, 1)
        nn.init.kaiming_normal_(self.logits.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.logits.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias unless told otherwise

    def forward(self, levels: Mapping[str, Tensor]) -> Tensor:
        """Return the logits ``[N, num_classes, H, W]`` of every pixel of the images whose pyramid is ``levels``."""
        maps = [branch(levels[name]) for name, branch in self.levels.items()]
        logits = at_least_float32(self.logits(reduce(Tensor.add, maps)))
        return F.interpolate(logits, scale_factor=float(STRIDE), mode="bilinear", align_corners=False)


def semantic_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of ``logits`` ``[N, C, H, W]``, the mean over the pixels of ``labels`` that have one.

    Args:
        logits: What ``SemanticHead`` gives.
        labels: ``[N, H, W]``, classes or ``UNLABELLED``.
    """
    total = F.cross_entropy(logits, labels.long(), ignore_index=UNLABELLED, reduction="sum")
    return total / mean_count((labels != UNLABELLED).sum(), logits)
