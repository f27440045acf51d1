"""Ground-truth instances of one image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

InstanceMask = Sequence[NDArray[np.float64]] | Tensor
"""Mask of an instance: polygons, flat ``[x, y, x, y, ...]`` in pixels, or bool ``[H, W]``."""


@dataclass(frozen=True)
class Instances:
    """Ground-truth instances of one image, in pixels of the network's input without padding.

    Attributes:
        boxes: ``[G, 4]``, xyxy.
        labels: int64 ``[G]``, class indices from 0.
        masks: Mask of each instance; None for a dataset of boxes only.
        iscrowd: bool ``[G]``, crowd regions, in a dataset from Python only: they are excluded from training, and
            detections in them are not counted; None if there are none.
        keypoints: ``[G, K, 3]``, x and y in pixels of the image, and visibility (0 not labeled, 1 hidden, 2 visible),
            in a dataset from Python for pose estimation only.

    Raises:
        ValueError: The fields have different lengths.
    """

    boxes: Tensor
    labels: Tensor
    masks: Sequence[InstanceMask] | None = None
    iscrowd: Tensor | None = None
    keypoints: Tensor | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.labels), 4):
            raise ValueError(f"boxes have shape {list(self.boxes.shape)}, but there are {len(self.labels)} labels")
        for name in ("masks", "iscrowd", "keypoints"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.labels):
                raise ValueError(f"there are {len(values)} {name}, but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the instances with their tensors on ``device``, boxes as ``dtype``."""
        masks = self.masks and tuple(mask.to(device) if isinstance(mask, Tensor) else mask for mask in self.masks)
        return replace(self, boxes=self.boxes.to(device, dtype), labels=self.labels.to(device), masks=masks)
