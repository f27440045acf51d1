"""Ground-truth instances of one image."""

from collections.abc import Callable, Sequence
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
        masks = self._with_tensors(lambda mask: copy_to(mask, device))
        boxes, labels = copy_to(self.boxes, device, dtype), copy_to(self.labels, device)
        return replace(self, boxes=boxes, labels=labels, masks=masks)

    def pin_memory(self) -> Self:
        """Return the instances with their tensors in pinned memory."""
        masks = self._with_tensors(Tensor.pin_memory)
        return replace(self, boxes=self.boxes.pin_memory(), labels=self.labels.pin_memory(), masks=masks)

    def _with_tensors(self, change: Callable[[Tensor], Tensor]) -> tuple[InstanceMask, ...] | None:
        """Return the masks with a function applied to those that are tensors."""
        if self.masks is None:
            return None
        return tuple(change(mask) if isinstance(mask, Tensor) else mask for mask in self.masks)


def copy_to(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor on a device, and as a type; from pinned memory to a GPU it is copied without blocking."""
    return tensor.to(device, dtype, non_blocking=device.type == "cuda" and tensor.is_pinned())
