"""Instance masks (Mask R-CNN, He et al. 2017): their head, and pasting into the photograph.

Shapes: R regions, C channels, K classes, H x W pixels of the photograph.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.layers.conv import ConvNormAct
from splitnest.layers.precision import at_least_float32
from splitnest.results.box_masks import BoxMasks

POOLED = 14
"""Cells of a side of a region that a mask head sees; its masks have twice as many."""


class MaskHead(nn.Module):
    """3x3 convolutions, a transposed one that doubles the size, and a mask for each class.

    Args:
        in_channels: Channels of the pooled regions.
        num_classes: K.
        num_convs, channels: The convolutions.
        norm: Name of their normalisation; None for biases.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, num_convs: int = 4, channels: int = 256, norm: str | None = "bn"
    ) -> None:
        super().__init__()
        widths = [in_channels, *[channels] * num_convs]
        self.convs = nn.Sequential(*(ConvNormAct(widths[i], channels, 3, norm=norm) for i in range(num_convs)))
        self.upsample = nn.ConvTranspose2d(widths[-1], channels, 2, stride=2)
        self.logits = nn.Conv2d(channels, num_classes, 1)
        for layer in (self.upsample, self.logits):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # both have a bias unless told otherwise

    def forward(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """Return the mask logits ``[R, 28, 28]`` of regions ``[R, C, 14, 14]`` for their classes ``[R]``.

        Only the wanted class of each region is computed: the others are 79/80 of the last layer's work.
        """
        hidden = F.relu(self.upsample(self.convs(pooled)), inplace=True)
        weight, bias = self.logits.weight[labels, :, 0, 0], self.logits.bias
        logits = at_least_float32(torch.bmm(weight[:, None], hidden.flatten(2))).view(-1, *hidden.shape[-2:])
        return logits if bias is None else logits + bias[labels, None, None]


def paste_masks(probabilities: Tensor, boxes: Tensor, size_hw: tuple[int, int], threshold: float = 0.5) -> BoxMasks:
    """Sample mask probabilities bilinearly at the centre of each pixel of their box.

    Bilinear sampling is separable, so a mask is two small matrix products over the pixels of its box. Outside of the
    box at least half of the weight is on the zeros around the mask: no pixel there passes 0.5.

    Args:
        probabilities: ``[R, M, M]``, 0 to 1.
        boxes: ``[R, 4]`` in pixels of the photograph.
        size_hw: (height, width) of the photograph.
        threshold: Probability from which a pixel belongs to the instance; 0.5 or more.

    Returns:
        R masks, those of boxes without area empty.
    """
    height, width = size_hw
    crops, corners = [], np.zeros((len(boxes), 2), np.int64)
    for row, (probability, (x1, y1, x2, y2)) in enumerate(zip(probabilities, boxes.tolist(), strict=True)):
        if not (x2 > x1 and y2 > y1):
            crops.append(np.zeros((0, 0), bool))
            continue
        left, across = _bilinear(x1, x2, width, probability)
        top, down = _bilinear(y1, y2, height, probability)
        crops.append((down @ probability @ across.T >= threshold).cpu().numpy())
        corners[row] = top, left
    return BoxMasks(tuple(crops), corners, size_hw)


def _bilinear(start: float, end: float, limit: int, probability: Tensor) -> tuple[int, Tensor]:
    """Return the first pixel centred in [start, end], and the weights ``[pixels, M]`` of all over the mask's cells."""
    cells = probability.shape[-1]
    first = max(math.ceil(start - 0.5), 0)
    stop = max(min(math.floor(end + 0.5), limit), first)
    pixels = torch.arange(first, stop, device=probability.device, dtype=probability.dtype)
    positions = (pixels + 0.5 - start) / (end - start) * cells - 0.5
    distances = (positions[:, None] - torch.arange(cells, device=probability.device)).abs()
    return min(first, limit), (1 - distances).clamp(min=0)
