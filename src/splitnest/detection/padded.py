"""A detector whose shapes do not depend on what it finds: what can be exported.

It finds what ``RCNN.predict`` does: fewer proposals or detections than there may be are filled up with empty boxes of
score 0. Suppression is done in the frame of the network's input, whatever the model's conventions say: scaling boxes
does not change how they overlap.

Shapes: N images, A' anchors of a level, P proposals of an image, D detections of an image, K classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.detection import box_head, mask_head
from splitnest.detection.boxes import DeltaCoder, nonempty
from splitnest.detection.operators import ROI_LEVELS, pool_regions, suppress
from splitnest.detection.postprocess import PostProcessor
from splitnest.detection.roi_heads import RoIHeads
from splitnest.detection.rpn import NMS_THRESHOLD, NUM_PROPOSALS, RPN

NEVER = -1e30
"""Score of what fills up: lower than any logit."""


def propose(rpn: RPN, levels: Mapping[str, Tensor], sizes: Tensor) -> Tensor:
    """Return the proposals of each image, ``[N, P, 4]``; the last ones may be empty.

    Args:
        rpn: Of the detector.
        levels: Its pyramid.
        sizes: (height, width) of each image without padding, ``[N, 2]`` in pixels.
    """
    boxes, scores, kept = [], [], []
    for logits, deltas, anchors in rpn(levels):
        ranked = logits if rpn.rank_by == "logits" else logits.sigmoid()
        best, index = F.pad(ranked, (0, NUM_PROPOSALS), value=NEVER).topk(NUM_PROPOSALS)
        index = index.clamp(max=anchors.shape[0] - 1)  # what fills up takes the last anchor
        chosen = deltas.gather(1, index[..., None].expand(-1, -1, 4))
        decoded = clip(_decode(rpn.coder, chosen, anchors[index]), sizes)
        best = torch.where(nonempty(decoded), best, NEVER)
        boxes.append(decoded)
        scores.append(best)
        kept.append(suppress(decoded, best, NMS_THRESHOLD, 0.5 * NEVER))
    all_boxes, all_scores = torch.cat(boxes, 1), torch.cat(scores, 1)
    best, index = torch.where(torch.cat(kept, 1), all_scores, NEVER).topk(NUM_PROPOSALS)
    chosen = all_boxes.gather(1, index[..., None].expand(-1, -1, 4))
    return torch.where((best > 0.5 * NEVER)[..., None], chosen, 0.0)


def score(heads: RoIHeads, levels: Mapping[str, Tensor], proposals: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the boxes ``[N, P, K or 1, 4]`` of the proposals ``[N, P, 4]``, and their scores ``[N, P, K]``."""
    outputs, boxes = [], proposals  # in a cascade the boxes of a stage, one each, are the proposals of the next
    for head, coder in zip(heads.box_heads, heads.box_coders, strict=True):
        logits, deltas = head(pool(heads, levels, boxes, box_head.POOLED))
        decoded = _decode(coder, deltas.unflatten(0, (-1, NUM_PROPOSALS)), boxes)
        boxes = clip(decoded.unflatten(2, (-1, 4)).flatten(1, 2), sizes)
        outputs.append(logits)
    probabilities = heads.probabilities(outputs).unflatten(0, (-1, NUM_PROPOSALS))
    return boxes.unflatten(1, (NUM_PROPOSALS, -1)), probabilities[..., :-1] * nonempty(proposals)[..., None]


def select(post: PostProcessor, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Suppress and keep the best.

    Args:
        post: Of the detector.
        boxes: ``[N, P, K or 1, 4]``.
        scores: ``[N, P, K]``.

    Returns:
        Boxes ``[N, D, 4]``, scores ``[N, D]``, labels int64 ``[N, D]``, and how many of them there are, int64 ``[N]``.
    """
    num_classes = scores.shape[2]
    of_classes = boxes.expand(-1, -1, num_classes, -1).transpose(1, 2)  # [N, K, P, 4]
    by_class = scores.transpose(1, 2)  # [N, K, P]
    kept = suppress(of_classes.flatten(0, 1), by_class.flatten(0, 1), post.nms_threshold, post.score_threshold)
    candidates = torch.where(kept.view_as(by_class), by_class, 0.0).flatten(1)
    best, index = candidates.topk(post.max_detections)
    chosen = of_classes.flatten(1, 2).gather(1, index[..., None].expand(-1, -1, 4))
    found = best > 0
    labels = torch.where(found, index // NUM_PROPOSALS, 0)
    return torch.where(found[..., None], chosen, 0.0), best, labels, found.sum(1)


def masks(heads: RoIHeads, levels: Mapping[str, Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
    """Return mask probabilities ``[N, D, 28, 28]`` inside ``boxes`` ``[N, D, 4]``; ``[N, D, 0, 0]`` without a head."""
    if not heads.mask_heads:
        return boxes.new_zeros(*labels.shape, 0, 0)
    pooled = pool(heads, levels, boxes, mask_head.POOLED)
    return heads.mask_probabilities(pooled, labels.flatten()).unflatten(0, (-1, boxes.shape[1]))


def pool(heads: RoIHeads, levels: Mapping[str, Tensor], boxes: Tensor, output_size: int) -> Tensor:
    """Return the regions ``[N * P, C, output_size, output_size]`` of ``boxes`` ``[N, P, 4]``."""
    numbers = torch.arange(boxes.shape[0], dtype=boxes.dtype, device=boxes.device)
    images = numbers[:, None, None].expand(-1, boxes.shape[1], 1)
    rois = torch.cat((images, boxes), 2).flatten(0, 1)
    maps: Sequence[Tensor] = [levels[name] for name in ROI_LEVELS]
    return pool_regions(maps, rois, heads.pooler.assign(rois[:, 1:]), output_size).to(maps[0].dtype)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Return ``boxes`` ``[N, P, 4]`` cut at the borders of images of ``sizes`` ``[N, 2]``, (height, width)."""
    return torch.minimum(boxes.clamp(min=0), sizes.flip(1).repeat(1, 2)[:, None])


def _decode(coder: DeltaCoder, deltas: Tensor, references: Tensor) -> Tensor:
    """Decode ``[N, P, K * 4]`` relative to ``[N, P, 4]``."""
    return coder.decode(deltas.flatten(0, 1), references.flatten(0, 1)).unflatten(0, (-1, deltas.shape[1]))
