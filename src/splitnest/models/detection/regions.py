"""Regions of a batch: boxes with the index of their image."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor


class Regions(NamedTuple):
    """Regions of all images of a batch.

    Attributes:
        boxes: ``[R, 4]``, xyxy in pixels of the batch.
        images: int64 ``[R]``, index of the image of each box.
    """

    boxes: Tensor
    images: Tensor

    @classmethod
    def from_list(cls, boxes: Sequence[Tensor]) -> Self:
        """Return the regions of the boxes ``[R_i, 4]`` of each image."""
        images = torch.cat([b.new_full((len(b),), index, dtype=torch.long) for index, b in enumerate(boxes)])
        return cls(torch.cat(list(boxes)), images)

    @classmethod
    def from_padded(cls, boxes: Tensor) -> Self:
        """Return the regions of boxes ``[N, P, 4]``, P of each of N images."""
        images = torch.arange(boxes.shape[0], device=boxes.device)[:, None].expand(-1, boxes.shape[1])
        return cls(boxes.flatten(0, 1), images.flatten())
