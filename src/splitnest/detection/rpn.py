"""Region proposal network (Ren et al. 2015) over the levels of a pyramid.

Shapes: N images, A anchors a cell, P proposals of an image.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.detection.anchors import AnchorGenerator
from splitnest.detection.boxes import DeltaCoder, clip, nonempty

STRIDES = (4, 8, 16, 32, 64)
"""Input pixels of a cell of p2 to p6."""


class Proposals(NamedTuple):
    """Regions of one image, best first: ``boxes`` ``[P, 4]`` and ``scores`` ``[P]``, logits or their sigmoid."""

    boxes: Tensor
    scores: Tensor


class RPN(nn.Module):
    """A 3x3 convolution, then an objectness logit and box deltas for each anchor.

    Args:
        channels: Channels of every level.
        anchors: Makes the anchors.
        coder: Decodes the deltas.
        rank_by: Choose anchors by ``logits`` or by ``scores``, their sigmoid.
        num_per_level: Anchors of a level and image that are decoded.
        num_proposals: Proposals of an image.
        nms_threshold: IoU over which the worse proposal of a level goes.
    """

    def __init__(
        self,
        channels: int,
        anchors: AnchorGenerator,
        coder: DeltaCoder,
        *,
        rank_by: str,
        num_per_level: int = 1000,
        num_proposals: int = 1000,
        nms_threshold: float = 0.7,
    ) -> None:
        super().__init__()
        self.anchors, self.coder, self.rank_by = anchors, coder, rank_by
        self.num_per_level, self.num_proposals, self.nms_threshold = num_per_level, num_proposals, nms_threshold
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.logits = nn.Conv2d(channels, anchors.num_anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * anchors.num_anchors, 1)
        for layer in (self.conv, self.logits, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias unless told otherwise

    def forward(self, levels: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return for each level the logits ``[N, H * W * A]`` and deltas ``[N, H * W * A, 4]``, anchor by anchor."""
        predictions = []
        for maps in levels.values():
            hidden = F.relu(self.conv(maps), inplace=True)
            logits = self.logits(hidden).permute(0, 2, 3, 1).flatten(1)
            deltas = self.deltas(hidden).permute(0, 2, 3, 1).reshape(len(maps), -1, 4)
            predictions.append((logits, deltas))
        return predictions

    def propose(self, levels: Mapping[str, Tensor], sizes: Sequence[tuple[int, int]]) -> list[Proposals]:
        """Return the proposals of each image: the best of each level, clipped and suppressed, then the best of all.

        Args:
            levels: p2 to p6, ``[N, C, H, W]`` each.
            sizes: (height, width) of each image in the batch, without padding.
        """
        candidates: list[list[Proposals]] = [[] for _ in sizes]
        cells = [(maps.shape[2], maps.shape[3]) for maps in levels.values()]
        for index, (logits, deltas) in enumerate(self(levels)):
            anchors = self.anchors.level(index, cells[index], STRIDES[index], like=deltas)
            scores = logits if self.rank_by == "logits" else logits.sigmoid()
            scores, best = scores.topk(min(self.num_per_level, scores.shape[1]), dim=1)
            for image, size in enumerate(sizes):
                boxes = self.coder.decode(deltas[image, best[image]], anchors[best[image]])
                candidates[image].append(self._suppress(clip(boxes, size), scores[image]))
        return [self._best(found) for found in candidates]

    def _suppress(self, boxes: Tensor, scores: Tensor) -> Proposals:
        from torchvision.ops import nms

        kept = nonempty(boxes)
        boxes, scores = boxes[kept], scores[kept]
        kept = nms(boxes, scores, self.nms_threshold)
        return Proposals(boxes[kept], scores[kept])

    def _best(self, found: Sequence[Proposals]) -> Proposals:
        boxes, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
        order = scores.argsort(descending=True, stable=True)[: self.num_proposals]
        return Proposals(boxes[order], scores[order])
