"""Semantic branch of Panoptic FPN (Kirillov et al. 2019, section 3.1)."""

from collections.abc import Mapping
from functools import reduce

from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.distributed import loss_normalizer
from splitnest.models.detection.roi_align import ROI_LEVELS, ROI_STRIDES
from splitnest.models.layers.conv import ConvNormAct
from splitnest.models.layers.precision import at_least_float32
from splitnest.structures.panoptic_labels import UNLABELED

STRIDE = ROI_STRIDES[0]
"""Stride in pixels of the sum of all levels."""


class SemanticHead(nn.Module):
    """Upsamples each level to the resolution of p2 with convolutions, adds the levels and classifies every pixel.

    Args:
        in_channels: Number of channels of every level.
        num_classes: Number of classes: all things as one class, then the stuff classes.
        channels: Number of channels of the convolutions.
        norm: Name of their normalization; None for biases instead.
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
        nn.init.zeros_(self.logits.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias by default

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the logits ``[N, num_classes, H, W]`` of every pixel of the images with this feature pyramid."""
        x = reduce(Tensor.add, [branch(features[name]) for name, branch in self.levels.items()])
        logits = at_least_float32(self.logits(x))
        return F.interpolate(logits, scale_factor=float(STRIDE), mode="bilinear", align_corners=False)


def semantic_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy averaged over labeled pixels.

    Args:
        logits: Output of ``SemanticHead``, ``[N, C, H, W]``.
        labels: ``[N, H, W]``, classes or ``UNLABELED``.
    """
    total = F.cross_entropy(logits, labels.long(), ignore_index=UNLABELED, reduction="sum")
    return total / loss_normalizer((labels != UNLABELED).sum(), logits)
