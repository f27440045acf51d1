"""Anchors of the region proposal network."""

from collections.abc import Sequence

import torch
from torch import Tensor

RATIOS = (0.5, 1.0, 2.0)
"""Height over width (Faster R-CNN, Ren et al. 2015)."""


class AnchorGenerator:
    """One size a level, ``RATIOS`` at each cell, centred on the cell's corner (x * stride, y * stride).

    Args:
        sizes: Side in pixels of the square anchor of each level.
    """

    def __init__(self, sizes: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        self.sizes = tuple(sizes)
        self.num_anchors = len(RATIOS)

    def level(self, index: int, size_hw: tuple[int, int], stride: int, like: Tensor) -> Tensor:
        """Return the anchors ``[H * W * A, 4]`` of level ``index``, ordered by row, column, ratio.

        Args:
            index: Of the level, in the order of ``sizes``.
            size_hw: Cells of the level.
            stride: Pixels of a cell.
            like: Tensor whose device and type the anchors have.
        """
        ratios = torch.tensor(RATIOS, dtype=torch.float64)
        sides = self.sizes[index] * torch.stack((ratios.rsqrt(), ratios.sqrt()), dim=1)  # [A, 2], (width, height)
        base = (0.5 * torch.cat((-sides, sides), dim=1)).to(like)
        ys, xs = (torch.arange(0, cells * stride, stride, device=like.device, dtype=like.dtype) for cells in size_hw)
        corners = torch.stack((xs.expand(size_hw[0], -1), ys[:, None].expand(-1, size_hw[1])), dim=-1)  # [H, W, 2]
        return (corners.repeat(1, 1, 2)[:, :, None] + base).view(-1, 4)
