"""RoIAlign (He et al. 2017) over the levels of a feature pyramid.

Shapes: N images, R regions of all images, C channels, s cells of a side of the pooled features.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from splitnest.models.detection.regions import Regions

ROI_LEVELS = ("p2", "p3", "p4", "p5")
ROI_STRIDES = (4, 8, 16, 32)


class RoIPooler:
    """Multi-level RoIAlign: pools each region from the level that matches its size (FPN, Lin et al. 2017, equation 1).

    Args:
        canonical_size: Side in pixels of a region that is pooled from ``canonical_level``.
        canonical_level: Level of such a region, in the numbering of the code base.
        epsilon: Constant added to the side ratio before its logarithm.
    """

    def __init__(self, canonical_size: float, canonical_level: int, epsilon: float) -> None:
        self.canonical_size, self.canonical_level, self.epsilon = canonical_size, canonical_level, epsilon
        self.finest = canonical_level - round(math.log2(canonical_size / 56))

    def assign(self, boxes: Tensor) -> Tensor:
        """Return the level of each of ``boxes`` ``[R, 4]``: int64 ``[R]``, 0 for p2 to 3 for p5."""
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        levels = (self.canonical_level + (sides / self.canonical_size + self.epsilon).log2()).floor() - self.finest
        return levels.clamp(0, len(ROI_LEVELS) - 1).long()

    def __call__(self, features: Mapping[str, Tensor], regions: Regions, output_size: int) -> Tensor:
        """Return the pooled features of regions.

        Args:
            features: Feature pyramid with at least p2 to p5, ``[N, C, H, W]`` each.
            regions: Regions in pixels of the batch.
            output_size: Cells of a side of the pooled features.

        Returns:
            ``[R, C, output_size, output_size]``.
        """
        levels = [features[name] for name in ROI_LEVELS]
        rois = torch.cat((regions.images.to(regions.boxes.dtype)[:, None], regions.boxes), dim=1)
        pool = multilevel_roi_align if torch.compiler.is_exporting() else _pool_levels
        return pool(levels, rois, self.assign(regions.boxes), output_size).to(levels[0].dtype)


@torch.library.custom_op("splitnest::multilevel_roi_align", mutates_args=())
def multilevel_roi_align(levels: Sequence[Tensor], rois: Tensor, assigned: Tensor, output_size: int) -> Tensor:
    """Pool each region from its level, as an operator whose output shape does not depend on values.

    Args:
        levels: p2 to p5, ``[N, C, H, W]`` each.
        rois: ``[R, 5]``: image index, then xyxy in pixels.
        assigned: Level of each region, int64 ``[R]``, 0 for p2 to 3 for p5.
        output_size: Cells of a side of the pooled features.

    Returns:
        ``[R, C, output_size, output_size]``.
    """
    return _pool_levels(levels, rois, assigned, output_size)


@multilevel_roi_align.register_fake
def _(levels: Sequence[Tensor], rois: Tensor, assigned: Tensor, output_size: int) -> Tensor:
    shape = rois.shape[0], levels[0].shape[1], output_size, output_size
    return torch.empty(shape, dtype=rois.dtype, device=rois.device, memory_format=torch.channels_last)


def _pool_levels(levels: Sequence[Tensor], rois: Tensor, assigned: Tensor, output_size: int) -> Tensor:
    """Compute ``multilevel_roi_align``, with gradients."""
    shape = len(rois), levels[0].shape[1], output_size, output_size
    pooled = torch.empty(shape, dtype=rois.dtype, device=rois.device, memory_format=torch.channels_last)
    for index, stride in enumerate(ROI_STRIDES):
        chosen = (assigned == index).nonzero()[:, 0]
        level = levels[index].to(rois.dtype)  # boxes, and so their features, are never in half precision
        pooled[chosen] = _RoIAlign.apply(level, rois[chosen], output_size, 1 / stride)
    return pooled


class _RoIAlign(torch.autograd.Function):
    """torchvision's RoIAlign with a multi-threaded backward pass on CPUs: each thread has a part of the channels."""

    @staticmethod
    def forward(ctx: Any, level: Tensor, rois: Tensor, output_size: int, scale: float) -> Tensor:
        from torchvision.ops import roi_align

        ctx.save_for_backward(rois)
        ctx.shape, ctx.scale = level.shape, scale
        return roi_align(level, rois, output_size, scale, 0, aligned=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (rois,), (number, _, height, width) = ctx.saved_tensors, ctx.shape
        backward = torch.ops.torchvision._roi_align_backward

        def of_channels(part: Tensor) -> Tensor:
            sizes = (*part.shape[2:], number, part.shape[1], height, width)
            return backward(part, rois, ctx.scale, *sizes, 0, True)

        threads = torch.get_num_threads() if rois.device.type == "cpu" and len(rois) else 1
        if threads == 1:
            return of_channels(gradients[0]), None, None, None
        with ThreadPoolExecutor(threads) as pool:
            return torch.cat(list(pool.map(of_channels, gradients[0].chunk(threads, 1))), 1), None, None, None
