"""Views of augmentations: images of one value with rectangular instances."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors

from splitnest.data.augmentations.view import View, boxes_like


def square_view(size_hw: tuple[int, int], boxes: Sequence[tuple[int, int, int, int]], value: int = 100) -> View:
    """Return a view with an instance of class 0, 1, ... in each box, whose pixels are brighter than the others by 50.

    Args:
        size_hw: Height and width in pixels.
        boxes: Boxes, xyxy.
        value: Value of the background.
    """
    image = torch.full((3, *size_hw), value, dtype=torch.uint8)
    masks = torch.zeros(len(boxes), *size_hw, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
        image[:, y1:y2, x1:x2] = value + 50
    target: dict[str, Any] = {
        "boxes": boxes_like(torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4), size_hw),
        "labels": torch.arange(len(boxes)),
        "masks": tv_tensors.Mask(masks),
        "semantic": tv_tensors.Mask(torch.full(size_hw, 5, dtype=torch.uint8)),
    }
    return tv_tensors.Image(image), target


def boxes_of(target: dict[str, Any]) -> list[list[float]]:
    """Return the boxes of a target as lists."""
    boxes: list[list[float]] = target["boxes"].as_subclass(Tensor).tolist()
    return boxes
