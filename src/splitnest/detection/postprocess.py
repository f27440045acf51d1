"""From scored boxes to detections in the frame of the photograph.

Shapes: P proposals of an image, D detections of an image, K classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from splitnest.detection.boxes import class_nms, clip, nonempty, rescale


class Found(NamedTuple):
    """The detections of one image, best first: ``boxes`` ``[D, 4]``, ``scores`` ``[D]``, ``labels`` ``[D]``."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class PostProcessor:
    """Keeps the best boxes and brings them into the frame of the photograph.

    Args:
        nms_at_photograph_scale: Suppress boxes after they were brought there, not before.
        clip_to_photograph: Clip them there and drop empty ones.
        score_threshold: Detections are over it (the published protocol).
        nms_threshold: IoU over which the worse of two detections of a class goes.
        max_detections: Detections of an image.
    """

    def __init__(
        self,
        *,
        nms_at_photograph_scale: bool,
        clip_to_photograph: bool,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.5,
        max_detections: int = 100,
    ) -> None:
        self.nms_at_photograph_scale, self.clip_to_photograph = nms_at_photograph_scale, clip_to_photograph
        self.score_threshold, self.nms_threshold = score_threshold, nms_threshold
        self.max_detections = max_detections

    def select(self, boxes: Tensor, scores: Tensor, size: tuple[int, int], original: tuple[int, int]) -> Found:
        """Keep the best of ``boxes`` ``[P, K or 1, 4]`` with ``scores`` ``[P, K]``, in the frame of the suppression.

        Args:
            boxes: In pixels of the network's input.
            scores: 0 to 1.
            size: (height, width) of the network's input, without padding.
            original: (height, width) of the photograph.
        """
        boxes = clip(boxes, size)
        if self.nms_at_photograph_scale:
            boxes = rescale(boxes, size, original)
        regions, labels = (scores > self.score_threshold).nonzero(as_tuple=True)
        scores = scores[regions, labels]
        boxes = boxes[regions, labels if boxes.shape[1] > 1 else torch.zeros_like(labels)]
        return self.best(Found(boxes, scores, labels))

    def best(self, found: Found) -> Found:
        """Suppress what overlaps a better one of its class, and keep the best of the rest, in order."""
        kept = class_nms(found.boxes, found.scores, found.labels, self.nms_threshold)[: self.max_detections]
        return Found(found.boxes[kept], found.scores[kept], found.labels[kept])

    def to_photograph(
        self, found: Found, masks: Tensor, size: tuple[int, int], original: tuple[int, int]
    ) -> tuple[Found, Tensor]:
        """Bring detections and their ``masks`` ``[D, M, M]`` into the frame of the photograph."""
        boxes, scores, labels = found
        if not self.nms_at_photograph_scale:
            boxes = rescale(boxes, size, original)
        if not self.clip_to_photograph:
            return Found(boxes, scores, labels), masks
        boxes = clip(boxes, original)
        kept = nonempty(boxes)
        return Found(boxes[kept], scores[kept], labels[kept]), masks[kept]
