"""Ground-truth instances of one image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.structures.masks import polygons_to_mask

InstanceMask = Sequence[NDArray[np.float64]] | Tensor
"""Mask of an instance: polygons, flat ``[x, y, x, y, ...]`` in pixels, or bool ``[H, W]``."""


def dense_masks(masks: Sequence[InstanceMask], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the masks of the instances of an image of a (height, width) in pixels as bool ``[G, H, W]``."""
    dense = np.zeros((len(masks), *size_hw), bool)
    for row, mask in zip(dense, masks, strict=True):
        row[:] = mask.cpu().numpy() if isinstance(mask, Tensor) else polygons_to_mask(mask, size_hw)
    return dense


@dataclass(frozen=True)
class Instances:
    """Ground-truth instances of one image, in pixels of the network's input without padding.

    Attributes:
        boxes: ``[G, 4]``, xyxy.
        labels: int64 ``[G]``, class indices from 0.
        masks: Mask of each instance; None for a dataset of boxes only.

    Raises:
        ValueError: The fields have different lengths.
    """

    boxes: Tensor
    labels: Tensor
    masks: tuple[InstanceMask, ...] | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.labels), 4):
            raise ValueError(f"boxes have shape {list(self.boxes.shape)}, but there are {len(self.labels)} labels")
        if self.masks is not None and len(self.masks) != len(self.labels):
            raise ValueError(f"there are {len(self.masks)} masks, but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the instances with their tensors on ``device``, boxes as ``dtype``."""
        masks = self.masks and tuple(mask.to(device) if isinstance(mask, Tensor) else mask for mask in self.masks)
        return replace(self, boxes=self.boxes.to(device, dtype), labels=self.labels.to(device), masks=masks)
