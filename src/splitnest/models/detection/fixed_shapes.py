"""Proposal and selection stages of a detector with output shapes that do not depend on values, for export.

They find what the stages of ``predict`` find: missing proposals and detections are filled up with empty boxes of score
0. NMS runs in pixels of the network's input whatever the model's conventions: rescaling boxes does not change their
IoU.

Shapes: N images, A' anchors of a level, P proposals of an image, D detections of an image, K classes.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.errors import UsageError
from splitnest.models.detection.boxes import clip, nonempty
from splitnest.models.detection.nms import nms_mask
from splitnest.models.detection.postprocess import PostProcessor
from splitnest.models.detection.regions import Regions
from splitnest.models.detection.roi_heads import Scored
from splitnest.models.detection.rpn import RPN

NEVER = -1e30
"""Score of padding: lower than any logit."""


class PaddedDetections(NamedTuple):
    """Detections padded to ``max_detections`` with empty boxes of score 0, in pixels of the batch.

    Attributes:
        boxes: ``[N, D, 4]``.
        scores: ``[N, D]``.
        labels: int64 ``[N, D]``.
        counts: int64 ``[N]``, number of detections of each image.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    counts: Tensor


def propose(rpn: RPN, features: Mapping[str, Tensor], sizes: Tensor) -> Regions:
    """Return the proposals of each image, as many as the RPN selects at most; the last ones may be empty.

    Args:
        rpn: Region proposal network.
        features: Feature pyramid.
        sizes: (height, width) of each image without padding, ``[N, 2]`` in pixels.
    """
    boxes, scores, kept = [], [], []
    topk = rpn.rules.pre_nms_topk
    for logits, deltas, anchors in rpn(features):
        best, index = F.pad(rpn.rank(logits), (0, topk), value=NEVER).topk(topk)
        index = index.clamp(max=anchors.shape[0] - 1)  # padding takes the last anchor
        chosen = deltas.gather(1, index[..., None].expand(-1, -1, 4))
        decoded = rpn.coder.decode(chosen.flatten(0, 1), anchors[index].flatten(0, 1)).unflatten(0, (-1, topk))
        decoded = clip(decoded, sizes)
        best = torch.where(nonempty(decoded), best, NEVER)
        boxes.append(decoded)
        scores.append(best)
        kept.append(nms_mask(decoded, best, rpn.rules.nms_threshold, 0.5 * NEVER))
    all_boxes, all_scores = torch.cat(boxes, 1), torch.cat(scores, 1)
    ranked, wanted = torch.where(torch.cat(kept, 1), all_scores, NEVER), rpn.rules.post_nms_topk
    if missing := max(wanted - len(kept) * topk, 0):
        ranked, all_boxes = F.pad(ranked, (0, missing), value=NEVER), F.pad(all_boxes, (0, 0, 0, missing))
    best, index = ranked.topk(wanted)
    chosen = all_boxes.gather(1, index[..., None].expand(-1, -1, 4))
    return Regions.from_padded(torch.where((best > 0.5 * NEVER)[..., None], chosen, 0.0))


def select(post: PostProcessor, proposals: Regions, scored: Scored, num_proposals: int) -> PaddedDetections:
    """Return the best ``max_detections`` of each image after NMS by class.

    Args:
        post: Post-processing parameters.
        proposals: Output of ``propose``; empty ones are ignored.
        scored: Boxes and scores of the proposals.
        num_proposals: Number of proposals of an image.

    Raises:
        UsageError: The model uses soft-NMS.
    """
    if post.suppression.kind != "hard":
        raise UsageError("Soft-NMS changes scores one by one and cannot be exported. Set model.nms=hard.")
    num_classes = scored.scores.shape[1]
    boxes = (
        scored.boxes.unflatten(0, (-1, num_proposals)).expand(-1, -1, num_classes, -1).transpose(1, 2)
    )  # [N, K, P, 4]
    scores = scored.scores * nonempty(proposals.boxes)[:, None]
    scores = scores.unflatten(0, (-1, num_proposals)).transpose(1, 2)  # [N, K, P]
    kept = nms_mask(boxes.flatten(0, 1), scores.flatten(0, 1), post.suppression.iou_threshold, post.score_threshold)
    candidates, boxes = torch.where(kept.view_as(scores), scores, 0.0).flatten(1), boxes.flatten(1, 2)
    if missing := max(post.max_detections - num_classes * num_proposals, 0):
        candidates, boxes = F.pad(candidates, (0, missing)), F.pad(boxes, (0, 0, 0, missing))
    best, index = candidates.topk(post.max_detections)
    chosen = boxes.gather(1, index[..., None].expand(-1, -1, 4))
    found = best > 0
    labels = torch.where(found, index // num_proposals, 0)
    return PaddedDetections(torch.where(found[..., None], chosen, 0.0), best, labels, found.sum(1))
