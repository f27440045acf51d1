"""Geometry of boxes as (x1, y1, x2, y2) in pixels: clipping, rescaling, empty boxes."""

import torch
from torch import Tensor


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Clip boxes to their images.

    Args:
        boxes: ``[R, ..., 4]``.
        sizes: (height, width) of the image of each box, ``[R, 2]``.
    """
    limits = sizes.to(boxes.dtype).flip(-1).repeat(1, 2)  # [R, 4]: width, height, width, height
    return torch.minimum(boxes.clamp(min=0), limits.view(-1, *[1] * (boxes.ndim - 2), 4))


def clip_to_image(boxes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Clip ``boxes`` ``[..., 4]`` to one image of this height and width."""
    height, width = size_hw
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor((width, height, width, height)))


def nonempty(boxes: Tensor) -> Tensor:
    """Return whether each of ``boxes`` ``[..., 4]`` has an area, bool ``[...]``."""
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])


def rescale(boxes: Tensor, size_hw: tuple[int, int], target_size_hw: tuple[int, int]) -> Tensor:
    """Return ``boxes`` ``[R, 4]`` of an image of one size in pixels of the same image at another size."""
    factors = [target / size for target, size in zip(target_size_hw, size_hw, strict=True)]
    return boxes * boxes.new_tensor((factors[1], factors[0], factors[1], factors[0]))
