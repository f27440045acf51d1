"""Box coder: boxes as deltas relative to anchors or proposals.

Shapes: R boxes, K classes.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MAX_LOG_RATIO = math.log(1000 / 16)
"""Maximum change of a side as a logarithm (mmdetection and detectron2)."""


class BoxCoder:
    """Deltas of boxes relative to reference boxes (R-CNN, Girshick et al. 2014, appendix C).

    Args:
        stds: Standard deviations of (dx, dy, dw, dh), by which targets are divided.
        clamp_shrinkage: Whether dw and dh are clamped from below as well as from above.
    """

    def __init__(self, stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0), *, clamp_shrinkage: bool) -> None:
        self.stds = tuple(stds)
        self.clamp_shrinkage = clamp_shrinkage

    def decode(self, deltas: Tensor, references: Tensor) -> Tensor:
        """Return the boxes ``[R, K * 4]`` of ``deltas`` ``[R, K * 4]`` relative to ``references`` ``[R, 4]``."""
        deltas = deltas.unflatten(1, (-1, 4)) * deltas.new_tensor(self.stds)  # [R, K, 4]
        references = references.to(deltas.dtype)[:, None]
        sides = references[..., 2:] - references[..., :2]
        centers = references[..., :2] + 0.5 * sides
        log_ratios = deltas[..., 2:].clamp(-MAX_LOG_RATIO if self.clamp_shrinkage else None, MAX_LOG_RATIO)
        centers = centers + deltas[..., :2] * sides
        half_sides = 0.5 * sides * log_ratios.exp()
        return torch.cat((centers - half_sides, centers + half_sides), dim=-1).flatten(1)

    def encode(self, boxes: Tensor, references: Tensor) -> Tensor:
        """Return the deltas ``[R, 4]`` of ``boxes`` relative to ``references``, both ``[R, 4]`` with positive sides."""
        sides, reference_sides = boxes[:, 2:] - boxes[:, :2], references[:, 2:] - references[:, :2]
        shifts = 0.5 * (boxes[:, :2] + boxes[:, 2:] - references[:, :2] - references[:, 2:]) / reference_sides
        return torch.cat((shifts, (sides / reference_sides).log()), dim=1) / boxes.new_tensor(self.stds)
