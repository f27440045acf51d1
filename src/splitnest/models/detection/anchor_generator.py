"""Anchor generator of the region proposal network."""

from collections.abc import Sequence

import torch
from torch import Tensor


class AnchorGenerator:
    """Anchors of one size per level and several ratios, centered on the corner (x * stride, y * stride) of each cell.

    Args:
        sizes: Side in pixels of the square anchor of each level.
        ratios: Height divided by width of the anchors of a cell.
    """

    def __init__(
        self, sizes: Sequence[float] = (32, 64, 128, 256, 512), ratios: Sequence[float] = (0.5, 1.0, 2.0)
    ) -> None:
        self.sizes, self.ratios = tuple(sizes), tuple(ratios)
        self.num_anchors = len(self.ratios)

    def level(self, index: int, size_hw: tuple[int, int], stride: int, like: Tensor) -> Tensor:
        """Return the anchors ``[H * W * A, 4]`` of a level, ordered by row, column and ratio.

        Args:
            index: Index of the level in ``sizes``.
            size_hw: Height and width of the level in cells.
            stride: Stride of the level in pixels.
            like: Tensor whose device and type the anchors have.
        """
        ratios = torch.tensor(self.ratios, dtype=torch.float64)
        sides = self.sizes[index] * torch.stack((ratios.rsqrt(), ratios.sqrt()), dim=1)  # [A, 2], (width, height)
        base = (0.5 * torch.cat((-sides, sides), dim=1)).to(like)
        ys, xs = (torch.arange(0, cells * stride, stride, device=like.device, dtype=like.dtype) for cells in size_hw)
        corners = torch.stack((xs.expand(size_hw[0], -1), ys[:, None].expand(-1, size_hw[1])), dim=-1)  # [H, W, 2]
        return (corners.repeat(1, 1, 2)[:, :, None] + base).view(-1, 4)
