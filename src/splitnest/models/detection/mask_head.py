"""Mask head (Mask R-CNN, He et al. 2017), and pasting of masks into the original image.

Shapes: R regions, C channels, K classes, M cells of a side of a mask, H x W pixels of the original image.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.layers.conv import ConvNormAct
from splitnest.models.layers.precision import at_least_float32
from splitnest.structures.box_masks import BoxMasks

POOLED = 14
"""Cells of a side of the pooled features of a region; its mask has twice as many."""


class MaskHead(nn.Module):
    """3x3 convolutions, a transposed convolution that doubles the resolution, and one mask per class.

    Args:
        in_channels: Number of channels of the pooled regions.
        num_classes: K.
        num_convs: Number of 3x3 convolutions.
        channels: Number of channels of all convolutions.
        norm: Name of the normalization of the 3x3 convolutions; None for biases instead.
        standardize: Whether their weights are standardized.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        num_convs: int = 4,
        channels: int = 256,
        norm: str | None = "bn",
        standardize: bool = False,
    ) -> None:
        super().__init__()
        widths = [in_channels, *[channels] * num_convs]
        options: dict[str, Any] = {"norm": norm, "standardize": standardize}
        self.convs = nn.Sequential(*(ConvNormAct(widths[i], channels, 3, **options) for i in range(num_convs)))
        self.upsample = nn.ConvTranspose2d(widths[-1], channels, 2, stride=2)
        self.logits = nn.Conv2d(channels, num_classes, 1)
        for layer in (self.upsample, self.logits):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # both have a bias by default

    def forward(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """Return the mask logits ``[R, 28, 28]`` of regions ``[R, C, 14, 14]`` for their classes ``[R]``.

        Only the given class of each region is computed; the others would be 79/80 of the last layer's work.
        """
        hidden = F.relu(self.upsample(self.convs(pooled)), inplace=True)
        weight, bias = self.logits.weight[labels, :, 0, 0], self.logits.bias
        logits = at_least_float32(torch.bmm(weight[:, None], hidden.flatten(2))).view(-1, *hidden.shape[-2:])
        return logits if bias is None else logits + bias[labels, None, None]


def paste_masks(probabilities: Tensor, boxes: Tensor, size_hw: tuple[int, int], threshold: float = 0.5) -> BoxMasks:
    """Sample mask probabilities bilinearly at the pixel centers of their boxes.

    Bilinear sampling is separable, so a mask is two small matrix products over the pixels of its box. No pixel outside
    the box reaches 0.5: at least half of its weight is on the zeros around the mask.

    Args:
        probabilities: ``[R, M, M]``, from 0 to 1.
        boxes: ``[R, 4]`` in pixels of the original image.
        size_hw: (height, width) of the original image.
        threshold: Probability from which a pixel belongs to the instance, at least 0.5.

    Returns:
        R masks; those of boxes without area are empty.
    """
    height, width = size_hw
    crops, corners = [], np.zeros((len(boxes), 2), np.int64)
    for row, (probability, (x1, y1, x2, y2)) in enumerate(zip(probabilities, boxes.tolist(), strict=True)):
        if not (x2 > x1 and y2 > y1):
            crops.append(np.zeros((0, 0), bool))
            continue
        left, across = _bilinear_weights(x1, x2, width, probability)
        top, down = _bilinear_weights(y1, y2, height, probability)
        crops.append((down @ probability @ across.T >= threshold).cpu().numpy())
        corners[row] = top, left
    return BoxMasks(tuple(crops), corners, size_hw)


def _bilinear_weights(start: float, end: float, limit: int, probability: Tensor) -> tuple[int, Tensor]:
    """Return the first pixel centered in [start, end], and the weights ``[pixels, M]`` of all over the mask's cells."""
    cells = probability.shape[-1]
    first = max(math.ceil(start - 0.5), 0)
    stop = max(min(math.floor(end + 0.5), limit), first)
    pixels = torch.arange(first, stop, device=probability.device, dtype=probability.dtype)
    positions = (pixels + 0.5 - start) / (end - start) * cells - 0.5
    distances = (positions[:, None] - torch.arange(cells, device=probability.device)).abs()
    return min(first, limit), (1 - distances).clamp(min=0)
