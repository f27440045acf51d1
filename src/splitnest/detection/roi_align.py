"""RoIAlign (He et al. 2017) over the levels of a pyramid.

Shapes: N images, R regions of all images, C channels.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from splitnest.detection.operators import ROI_LEVELS, align


class RoIPooler:
    """Pools each region from the level that suits its size (FPN, Lin et al. 2017, equation 1).

    Args:
        canonical_size: Side in pixels of a region that belongs to ``canonical_level``.
        canonical_level: That level.
        epsilon: Added to the ratio of sides before the logarithm.
    """

    def __init__(self, canonical_size: float, canonical_level: int, epsilon: float) -> None:
        self.canonical_size, self.canonical_level, self.epsilon = canonical_size, canonical_level, epsilon
        self.finest = canonical_level - round(math.log2(canonical_size / 56))

    def assign(self, boxes: Tensor) -> Tensor:
        """Return the level of each of ``boxes`` ``[R, 4]``: int64 ``[R]``, 0 for p2 to 3 for p5."""
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        levels = (self.canonical_level + (sides / self.canonical_size + self.epsilon).log2()).floor() - self.finest
        return levels.clamp(0, len(ROI_LEVELS) - 1).long()

    def __call__(self, levels: Mapping[str, Tensor], boxes: Sequence[Tensor], output_size: int) -> Tensor:
        """Return the regions ``[R, C, output_size, output_size]``, image by image.

        Args:
            levels: p2 to p5, ``[N, C, H, W]`` each.
            boxes: ``[R_i, 4]`` of each image in pixels of the batch.
            output_size: Cells of a side.
        """
        rois = torch.cat([torch.cat((b.new_full((len(b), 1), i), b), dim=1) for i, b in enumerate(boxes)])
        maps = [levels[name] for name in ROI_LEVELS]
        return align(maps, rois, self.assign(rois[:, 1:]), output_size).to(maps[0].dtype)
