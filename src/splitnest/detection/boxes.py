"""Boxes as (x1, y1, x2, y2) in pixels: deltas, clipping, suppression.

Shapes: R boxes, K classes.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MAX_LOG_RATIO = math.log(1000 / 16)
"""Largest change of a side, as a logarithm (both code bases)."""


class DeltaCoder:
    """Boxes relative to reference boxes (R-CNN, Girshick et al. 2014, appendix C).

    Args:
        deviations: Standard deviations of (dx, dy, dw, dh), by which targets are divided.
        clamp_shrinkage: Clamp dw and dh from below as well as from above.
    """

    def __init__(self, deviations: Sequence[float] = (1.0, 1.0, 1.0, 1.0), *, clamp_shrinkage: bool) -> None:
        self.deviations = tuple(deviations)
        self.clamp_shrinkage = clamp_shrinkage

    def decode(self, deltas: Tensor, references: Tensor) -> Tensor:
        """Return the boxes ``[R, K * 4]`` that ``deltas`` ``[R, K * 4]`` make of ``references`` ``[R, 4]``."""
        deltas = deltas.unflatten(1, (-1, 4)) * deltas.new_tensor(self.deviations)  # [R, K, 4]
        references = references.to(deltas.dtype)[:, None]
        sides = references[..., 2:] - references[..., :2]
        centres = references[..., :2] + 0.5 * sides
        log_ratios = deltas[..., 2:].clamp(-MAX_LOG_RATIO if self.clamp_shrinkage else None, MAX_LOG_RATIO)
        centres = centres + deltas[..., :2] * sides
        halves = 0.5 * sides * log_ratios.exp()
        return torch.cat((centres - halves, centres + halves), dim=-1).flatten(1)

    def encode(self, boxes: Tensor, references: Tensor) -> Tensor:
        """Return the deltas ``[R, 4]`` that make ``boxes`` of ``references``, both ``[R, 4]`` with positive sides."""
        sides, reference_sides = boxes[:, 2:] - boxes[:, :2], references[:, 2:] - references[:, :2]
        shifts = 0.5 * (boxes[:, :2] + boxes[:, 2:] - references[:, :2] - references[:, 2:]) / reference_sides
        return torch.cat((shifts, (sides / reference_sides).log()), dim=1) / boxes.new_tensor(self.deviations)


def clip(boxes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return ``boxes`` ``[..., 4]`` cut at the borders of an image of ``size_hw``."""
    height, width = size_hw
    limits = boxes.new_tensor((width, height, width, height))
    return torch.minimum(boxes.clamp(min=0), limits)


def nonempty(boxes: Tensor) -> Tensor:
    """Return which of ``boxes`` ``[..., 4]`` have an area: bool ``[...]``."""
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])


def rescale(boxes: Tensor, size_hw: tuple[int, int], original_size_hw: tuple[int, int]) -> Tensor:
    """Return ``boxes`` ``[R, 4]`` of an image of ``size_hw`` in the frame of its photograph of ``original_size_hw``."""
    factors = [original / size for original, size in zip(original_size_hw, size_hw, strict=True)]
    return boxes * boxes.new_tensor((factors[1], factors[0], factors[1], factors[0]))


def class_nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Suppress boxes that overlap a better one of the same label by an IoU over ``threshold``.

    Boxes of different labels are moved apart and suppressed in one go, in float64: in float32 the move costs up to
    0.004 pixels at 80 classes.

    Args:
        boxes: ``[R, 4]``.
        scores: ``[R]``.
        labels: int64 ``[R]``.
        threshold: IoU, 0 to 1.

    Returns:
        Indices of the boxes that stay, best first.
    """
    from torchvision.ops import nms

    if not len(boxes):
        return labels
    apart = boxes.double() + (labels * (boxes.max() - boxes.min() + 1).double())[:, None]
    return nms(apart, scores.double(), threshold)
