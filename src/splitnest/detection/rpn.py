"""Region proposal network (Ren et al. 2015) over the levels of a pyramid.

Shapes: N images, A' anchors of a level, P proposals of an image.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.detection.anchors import AnchorGenerator
from splitnest.detection.boxes import DeltaCoder, clip, nonempty
from splitnest.layers.precision import at_least_float32

STRIDES = (4, 8, 16, 32, 64)
"""Input pixels of a cell of p2 to p6."""

NMS_THRESHOLD = 0.7
"""IoU over which the worse proposal of a level goes (both code bases)."""


NUM_PROPOSALS = 1000
"""Proposals of an image, and anchors of a level that they are made of, in prediction (the published protocol)."""


class Proposals(NamedTuple):
    """Regions of one image, best first: ``boxes`` ``[P, 4]`` and ``scores`` ``[P]``, logits or their sigmoid."""

    boxes: Tensor
    scores: Tensor


class LevelPredictions(NamedTuple):
    """What is said of one level: ``logits`` ``[N, A']``, ``deltas`` ``[N, A', 4]`` of ``anchors`` ``[A', 4]``."""

    logits: Tensor
    deltas: Tensor
    anchors: Tensor


class RPN(nn.Module):
    """A 3x3 convolution, then an objectness logit and box deltas for each anchor.

    Args:
        channels: Channels of every level.
        anchors: Makes the anchors.
        coder: Decodes the deltas.
        rank_by: Choose anchors by ``logits`` or by ``scores``, their sigmoid.
    """

    def __init__(self, channels: int, anchors: AnchorGenerator, coder: DeltaCoder, *, rank_by: str) -> None:
        super().__init__()
        self.anchors, self.coder, self.rank_by = anchors, coder, rank_by
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.logits = nn.Conv2d(channels, anchors.num_anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * anchors.num_anchors, 1)
        for layer in (self.conv, self.logits, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias unless told otherwise

    def forward(self, levels: Mapping[str, Tensor]) -> list[LevelPredictions]:
        """Return the predictions of each level ``[N, channels, H, W]``, ordered by row, column, anchor."""
        predictions = []
        for index, maps in enumerate(levels.values()):
            hidden = F.relu(self.conv(maps), inplace=True)
            logits = at_least_float32(self.logits(hidden)).permute(0, 2, 3, 1).flatten(1)
            deltas = at_least_float32(self.deltas(hidden)).permute(0, 2, 3, 1).reshape(maps.shape[0], -1, 4)
            anchors = self.anchors.level(index, (maps.shape[2], maps.shape[3]), STRIDES[index], like=deltas)
            predictions.append(LevelPredictions(logits, deltas, anchors))
        return predictions

    @torch.no_grad()
    def propose(
        self,
        predictions: Sequence[LevelPredictions],
        sizes: Sequence[tuple[int, int]],
        *,
        num_per_level: int = NUM_PROPOSALS,
        num_proposals: int = NUM_PROPOSALS,
    ) -> list[Proposals]:
        """Return the proposals of each image: the best of each level, clipped and suppressed, then the best of all.

        Args:
            predictions: What ``forward`` returned.
            sizes: (height, width) of each image in the batch, without padding.
            num_per_level: Anchors of a level and image that are decoded.
            num_proposals: Proposals of an image.
        """
        candidates: list[list[Proposals]] = [[] for _ in sizes]
        for logits, deltas, anchors in predictions:
            scores = logits if self.rank_by == "logits" else logits.sigmoid()
            for image, size in enumerate(sizes):
                best: Tensor | slice = slice(None)
                if scores.shape[1] > num_per_level:
                    best = scores[image].topk(num_per_level).indices
                boxes = clip(self.coder.decode(deltas[image, best], anchors[best]), size)
                kept = nonempty(boxes)
                candidates[image].append(Proposals(boxes[kept], scores[image, best][kept]))
        return [_suppress(levels, num_proposals) for levels in candidates]


def _suppress(levels: Sequence[Proposals], num_proposals: int) -> Proposals:
    """Suppress the candidates of an image level by level; return the best of what stays.

    They are ranked over all levels by one unstable float32 sort, as mmdetection does it: of confident anchors the
    sigmoid is exactly 1, so the sort decides between many ties.
    """
    from torchvision.ops import nms

    boxes, scores = (torch.cat(parts) for parts in zip(*levels, strict=True))
    order = scores.float().sort(descending=True).indices
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    counts = [len(level.boxes) for level in levels]
    of_levels = torch.arange(len(order), device=order.device).split(counts)
    kept = torch.cat([rows[nms(boxes[rows], -rank[rows].to(boxes.dtype), NMS_THRESHOLD)] for rows in of_levels])
    kept = kept[rank[kept].argsort()[:num_proposals]]
    return Proposals(boxes[kept], scores[kept])
