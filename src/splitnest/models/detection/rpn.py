"""Region proposal network (RPN, Ren et al. 2015) over the levels of a feature pyramid.

Shapes: N images, A' anchors of a level, P proposals of an image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.detection.anchor_generator import AnchorGenerator
from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.boxes import clip_to_image, nonempty
from splitnest.models.layers.conv import ConvNormAct
from splitnest.models.layers.precision import at_least_float32

STRIDES = (4, 8, 16, 32, 64)
"""Strides of p2 to p6 in pixels."""


class Proposals(NamedTuple):
    """Proposals of one image in descending order: ``boxes`` ``[P, 4]`` and ``scores`` ``[P]``, logits or sigmoids."""

    boxes: Tensor
    scores: Tensor


@dataclass(frozen=True)
class ProposalRules:
    """Selection of proposals; the defaults are those of prediction in mmdetection and detectron2.

    Attributes:
        pre_nms_topk: Number of anchors of each level and image that are decoded.
        post_nms_topk: Number of proposals of an image.
        nms_threshold: IoU above which the worse of two proposals of a level is suppressed.
        stable: Whether candidates with equal scores keep their order: the sigmoid of confident anchors is exactly 1.
            Recorded detections are reproduced only so, and losses of ordinary backbones; recorded losses of ResNeSt
            only in the order of unstable sorts.
    """

    pre_nms_topk: int = 1000
    post_nms_topk: int = 1000
    nms_threshold: float = 0.7
    stable: bool = True


PREDICTION = ProposalRules()
"""Selection of proposals in prediction of nearly all published detectors."""


class LevelPredictions(NamedTuple):
    """Predictions of one level: ``logits`` ``[N, A']`` and ``deltas`` ``[N, A', 4]`` of ``anchors`` ``[A', 4]``."""

    logits: Tensor
    deltas: Tensor
    anchors: Tensor


class RPN(nn.Module):
    """3x3 convolutions, then an objectness logit and box deltas for each anchor.

    Args:
        channels: Number of channels of every level.
        anchors: Anchor generator.
        coder: Box coder of the deltas.
        rank_by: Score by which anchors are ranked: ``logits``, or ``scores``, their sigmoid.
        num_convs: Number of 3x3 convolutions.
        rules: Selection of proposals in prediction.
    """

    def __init__(
        self,
        channels: int,
        anchors: AnchorGenerator,
        coder: BoxCoder,
        *,
        rank_by: str,
        num_convs: int = 1,
        rules: ProposalRules = PREDICTION,
    ) -> None:
        super().__init__()
        self.anchors, self.coder, self.rank_by, self.rules = anchors, coder, rank_by, rules
        convs = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(num_convs)]
        self.conv: nn.Module = convs[0]
        if num_convs > 1:
            self.conv = nn.Sequential(*(ConvNormAct(channels, channels, 3, norm=None, conv=conv) for conv in convs))
        self.logits = nn.Conv2d(channels, anchors.num_anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * anchors.num_anchors, 1)
        for layer in (*convs, self.logits, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # nn.Conv2d has a bias by default

    def forward(self, features: Mapping[str, Tensor]) -> list[LevelPredictions]:
        """Return the predictions of each level ``[N, channels, H, W]``, ordered by row, column and anchor."""
        predictions = []
        for index, level in enumerate(features.values()):
            hidden = self.conv(level)
            if not isinstance(self.conv, nn.Sequential):  # whose convolutions have a ReLU each
                hidden = F.relu(hidden, inplace=True)
            logits = at_least_float32(self.logits(hidden)).permute(0, 2, 3, 1).flatten(1)
            deltas = at_least_float32(self.deltas(hidden)).permute(0, 2, 3, 1).reshape(level.shape[0], -1, 4)
            anchors = self.anchors.level(index, (level.shape[2], level.shape[3]), STRIDES[index], like=deltas)
            predictions.append(LevelPredictions(logits, deltas, anchors))
        return predictions

    def _best(self, scores: Tensor, rules: ProposalRules) -> Tensor:
        """Return the indices of the best anchors of a level; among equal sigmoids those of mmdetection's sort."""
        if self.rank_by == "logits" or not rules.stable:
            return scores.topk(rules.pre_nms_topk).indices
        return scores.sort(descending=True).indices[: rules.pre_nms_topk]

    def rank(self, logits: Tensor) -> Tensor:
        """Return the scores by which anchors are ranked."""
        return logits if self.rank_by == "logits" else logits.sigmoid()

    @torch.no_grad()
    def propose(
        self,
        predictions: Sequence[LevelPredictions],
        sizes: Sequence[tuple[int, int]],
        rules: ProposalRules | None = None,
    ) -> list[Proposals]:
        """Return the proposals of each image: the best of each level after NMS, then the best of all levels.

        Args:
            predictions: Outputs of ``forward``.
            sizes: (height, width) of each image in the batch without padding, in pixels.
            rules: Selection of proposals; None selects as in prediction.
        """
        rules = rules or self.rules
        candidates: list[list[Proposals]] = [[] for _ in sizes]
        for logits, deltas, anchors in predictions:
            scores = self.rank(logits)
            for image, size in enumerate(sizes):
                best: Tensor | slice = slice(None)
                if scores.shape[1] > rules.pre_nms_topk:
                    best = self._best(scores[image], rules)
                boxes = clip_to_image(self.coder.decode(deltas[image, best], anchors[best]), size)
                kept = nonempty(boxes)
                candidates[image].append(Proposals(boxes[kept], scores[image, best][kept]))
        return [_suppress(levels, rules) for levels in candidates]


def _suppress(levels: Sequence[Proposals], rules: ProposalRules) -> Proposals:
    """Apply NMS to the candidates of each level of an image; return the best of the remaining ones.

    Candidates are ranked over all levels by one float32 sort, as in mmdetection.
    """
    from torchvision.ops import nms

    boxes, scores = (torch.cat(parts) for parts in zip(*levels, strict=True))
    order = scores.float().sort(descending=True, stable=rules.stable).indices
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    counts = [len(level.boxes) for level in levels]
    rows_of_levels = torch.arange(len(order), device=order.device).split(counts)
    threshold = rules.nms_threshold
    kept = torch.cat([rows[nms(boxes[rows], -rank[rows].to(boxes.dtype), threshold)] for rows in rows_of_levels])
    kept = kept[rank[kept].argsort()[: rules.post_nms_topk]]
    return Proposals(boxes[kept], scores[kept])
