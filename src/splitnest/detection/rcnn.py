"""Faster and Mask R-CNN: backbone, pyramid, proposals, box heads, mask heads.

Shapes: N images, P proposals of an image, D detections of an image, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitnest.batch import Batch
from splitnest.data.categories import Categories
from splitnest.detection import box_head, mask_head
from splitnest.detection.boxes import DeltaCoder, class_nms, clip, nonempty, rescale
from splitnest.detection.roi_align import RoIPooler
from splitnest.detection.rpn import RPN
from splitnest.model import Model
from splitnest.results import Detections, Result


class Found(NamedTuple):
    """The detections of one image, best first: ``boxes`` ``[D, 4]``, ``scores`` ``[D]``, ``labels`` ``[D]``."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class RawDetections(NamedTuple):
    """What ``forward`` returns: padded with zeros to ``max_detections``, in pixels of the batch.

    Attributes:
        boxes: ``[N, D, 4]``.
        scores: ``[N, D]``.
        labels: int64 ``[N, D]``.
        masks: Probabilities ``[N, D, 28, 28]`` inside the boxes; ``[N, D, 0, 0]`` of a model without masks.
        counts: int64 ``[N]``, how many of the D are detections.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor
    counts: Tensor


class RCNN(Model):
    """A two-stage detector.

    Args:
        backbone: Maps images to c2 to c5.
        neck: Maps those to p2 to p6.
        rpn: Proposes regions.
        pooler: Pools them.
        box_heads: One head.
        box_coders: Decodes the deltas of each head.
        mask_heads: One head, or none for boxes alone.
        categories: What the labels mean.
        nms_at_photograph_scale: Suppress boxes in the frame of the photograph; only of models without masks.
        clip_to_photograph: Clip the final boxes to the photograph and drop empty ones.
        score_threshold: Detections are over it (the published protocol).
        nms_threshold: IoU over which the worse of two detections of a class goes.
        max_detections: Detections of an image.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        rpn: RPN,
        pooler: RoIPooler,
        box_heads: Sequence[nn.Module],
        box_coders: Sequence[DeltaCoder],
        mask_heads: Sequence[nn.Module],
        categories: Categories,
        *,
        nms_at_photograph_scale: bool,
        clip_to_photograph: bool,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.5,
        max_detections: int = 100,
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.rpn, self.pooler = backbone, neck, rpn, pooler
        self.box_heads, self.mask_heads = nn.ModuleList(box_heads), nn.ModuleList(mask_heads)
        self.box_coders = tuple(box_coders)
        self.categories = categories
        self.nms_at_photograph_scale = nms_at_photograph_scale and not mask_heads
        self.clip_to_photograph = clip_to_photograph
        self.score_threshold, self.nms_threshold = score_threshold, nms_threshold
        self.max_detections = max_detections

    def forward(self, images: Tensor) -> RawDetections:
        """Detect in normalised images ``[N, 3, H, W]``, all of them without padding."""
        sizes = [(images.shape[2], images.shape[3])] * len(images)
        levels = self.neck(self.backbone(images))
        found = self.detect(levels, sizes, sizes)
        masks = self.masks(levels, found)
        boxes, scores, labels = (torch.stack([self._pad(p) for p in parts]) for parts in zip(*found, strict=True))
        counts = torch.tensor([len(f.scores) for f in found], device=images.device)
        return RawDetections(boxes, scores, labels, torch.stack([self._pad(p) for p in masks]), counts)

    def predict(self, batch: Batch) -> list[Result]:
        """Detect in a batch; boxes and masks are in the frame of each photograph."""
        levels = self.neck(self.backbone(batch.images))
        found = self.detect(levels, batch.sizes, batch.original_sizes)
        masks = self.masks(levels, found)
        return [
            self._result(*of_image) for of_image in zip(found, masks, batch.sizes, batch.original_sizes, strict=True)
        ]

    def detect(
        self,
        levels: Mapping[str, Tensor],
        sizes: Sequence[tuple[int, int]],
        original_sizes: Sequence[tuple[int, int]],
    ) -> list[Found]:
        """Return the detections of each image, in pixels of the photograph if suppressed there, else of the batch."""
        proposals = [p.boxes for p in self.rpn.propose(levels, sizes)]
        counts = [len(boxes) for boxes in proposals]
        logits, deltas = self.box_heads[0](self.pooler(levels, proposals, box_head.POOLED))
        boxes = self.box_coders[0].decode(deltas, torch.cat(proposals)).unflatten(1, (-1, 4))  # [P, K or 1, 4]
        scores = logits.softmax(1)[:, :-1]  # [P, K]
        found = []
        for box, score, size, original in zip(
            boxes.split(counts), scores.split(counts), sizes, original_sizes, strict=True
        ):
            box = clip(box, size)
            if self.nms_at_photograph_scale:
                box = rescale(box, size, original)
            found.append(self._select(box, score))
        return found

    def masks(self, levels: Mapping[str, Tensor], found: Sequence[Found]) -> list[Tensor]:
        """Return the mask probabilities ``[D, 28, 28]`` of each image; ``[D, 0, 0]`` of a model without masks."""
        boxes, labels = [f.boxes for f in found], torch.cat([f.labels for f in found])
        if not self.mask_heads:
            return [b.new_zeros(len(b), 0, 0) for b in boxes]
        logits = self.mask_heads[0](self.pooler(levels, boxes, mask_head.POOLED), labels)
        return list(logits.sigmoid().split([len(b) for b in boxes]))

    def _select(self, boxes: Tensor, scores: Tensor) -> Found:
        """Keep the best of ``boxes`` ``[P, K or 1, 4]`` with ``scores`` ``[P, K]``."""
        regions, labels = (scores > self.score_threshold).nonzero(as_tuple=True)
        scores = scores[regions, labels]
        boxes = boxes[regions, labels if boxes.shape[1] > 1 else torch.zeros_like(labels)]
        kept = class_nms(boxes, scores, labels, self.nms_threshold)[: self.max_detections]
        return Found(boxes[kept], scores[kept], labels[kept])

    def _result(self, found: Found, masks: Tensor, size: tuple[int, int], original: tuple[int, int]) -> Detections:
        boxes, scores, labels = found
        if not self.nms_at_photograph_scale:
            boxes = rescale(boxes, size, original)
        if self.clip_to_photograph:
            boxes = clip(boxes, original)
            kept = nonempty(boxes)
            boxes, scores, labels, masks = boxes[kept], scores[kept], labels[kept], masks[kept]
        return Detections(
            boxes=boxes.float().cpu().numpy(),
            scores=scores.float().cpu().numpy(),
            labels=labels.cpu().numpy(),
            masks=mask_head.paste_masks(masks, boxes, original).cpu().numpy() if self.mask_heads else None,
            image_size=original,
            categories=self.categories,
        )

    def _pad(self, part: Tensor) -> Tensor:
        padded = part.new_zeros(self.max_detections, *part.shape[1:])
        padded[: len(part)] = part
        return padded
