"""Concatenation of feature maps at the resolution of the finest one."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def resize_concat(features: Sequence[Tensor], align_corners: bool = False) -> Tensor:
    """Return feature maps ``[N, C, H, W]`` resized bilinearly to the size of the first one, and concatenated."""
    first, *others = features
    size = first.shape[-2:]
    resized = [F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners) for x in others]
    return torch.cat([first, *resized], dim=1) if others else first
