"""What depends on values in a detector, as operators whose results have shapes that do not.

Networks that are made of these can be traced: how many boxes stay, and which regions are of which level, shows in the
values of a tensor alone. ``splitnest.onnx_operators`` says how ONNX computes them.

Shapes: G groups of n boxes, R regions, C channels.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

ROI_LEVELS = ("p2", "p3", "p4", "p5")
ROI_STRIDES = (4, 8, 16, 32)


@torch.library.custom_op("splitnest::suppress", mutates_args=())
def suppress(boxes: Tensor, scores: Tensor, iou: float, least: float) -> Tensor:
    """Suppress boxes that overlap a better one of their group.

    Args:
        boxes: ``[G, n, 4]``.
        scores: ``[G, n]``.
        iou: Over which the worse one goes.
        least: Boxes whose score is not over it do not count.

    Returns:
        Which of them stay, bool ``[G, n]``.
    """
    from torchvision.ops import nms

    kept = torch.zeros_like(scores, dtype=torch.bool)
    for group in range(len(boxes)):
        chosen = (scores[group] > least).nonzero()[:, 0]
        kept[group, chosen[nms(boxes[group, chosen], scores[group, chosen], iou)]] = True
    return kept


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, iou: float, least: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


@torch.library.custom_op("splitnest::pool_regions", mutates_args=())
def pool_regions(levels: Sequence[Tensor], rois: Tensor, assigned: Tensor, output_size: int) -> Tensor:
    """Pool each region from its level by RoIAlign.

    Args:
        levels: p2 to p5, ``[N, C, H, W]`` each.
        rois: ``[R, 5]``: the number of the image, then xyxy in its pixels.
        assigned: int64 ``[R]``, 0 for p2 to 3 for p5.
        output_size: Cells of a side.

    Returns:
        ``[R, C, output_size, output_size]``.
    """
    return align(levels, rois, assigned, output_size)


@pool_regions.register_fake
def _(levels: Sequence[Tensor], rois: Tensor, assigned: Tensor, output_size: int) -> Tensor:
    shape = rois.shape[0], levels[0].shape[1], output_size, output_size
    return torch.empty(shape, dtype=rois.dtype, device=rois.device, memory_format=torch.channels_last)


def align(levels: Sequence[Tensor], rois: Tensor, assigned: Tensor, output_size: int) -> Tensor:
    """Do what ``pool_regions`` does, with gradients."""
    shape = len(rois), levels[0].shape[1], output_size, output_size
    pooled = torch.empty(shape, dtype=rois.dtype, device=rois.device, memory_format=torch.channels_last)
    for index, stride in enumerate(ROI_STRIDES):
        chosen = (assigned == index).nonzero()[:, 0]
        maps = levels[index].to(rois.dtype)  # boxes, and so their regions, are never of half precision
        pooled[chosen] = _RoIAlign.apply(maps, rois[chosen], output_size, 1 / stride)
    return pooled


class _RoIAlign(torch.autograd.Function):
    """torchvision's RoIAlign; its backward pass has one thread on processors, here each has a part of the channels."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, rois: Tensor, output_size: int, scale: float) -> Tensor:
        from torchvision.ops import roi_align

        ctx.save_for_backward(rois)
        ctx.shape, ctx.scale = maps.shape, scale
        return roi_align(maps, rois, output_size, scale, 0, aligned=True)

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
