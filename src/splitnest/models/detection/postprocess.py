"""Post-processing of scored boxes: score threshold, NMS, and conversion to pixels of the original image.

Shapes: R regions of an image, D detections of an image, K classes, M cells of a side of a mask.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from splitnest.models.detection.boxes import clip_to_image, nonempty, rescale
from splitnest.models.detection.nms import HARD_NMS, Suppression
from splitnest.models.detection.roi_heads import Scored


class Selected(NamedTuple):
    """Detections of one image in descending order: ``boxes`` ``[D, 4]``, ``scores`` ``[D]``, ``labels`` ``[D]``."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class PostProcessor:
    """Selection of the best boxes of an image, and their conversion to the original image.

    Args:
        nms_at_original_scale: Whether boxes are rescaled to the original image before NMS.
        clip_to_original: Whether boxes are clipped to the original image and empty ones dropped.
        score_threshold: Score that a detection must exceed (published protocol).
        suppression: Suppression of overlapping detections of a class.
        max_detections: Maximum number of detections of an image.
    """

    def __init__(
        self,
        *,
        nms_at_original_scale: bool,
        clip_to_original: bool,
        score_threshold: float = 0.05,
        suppression: Suppression = HARD_NMS,
        max_detections: int = 100,
    ) -> None:
        self.nms_at_original_scale, self.clip_to_original = nms_at_original_scale, clip_to_original
        self.score_threshold, self.suppression = score_threshold, suppression
        self.max_detections = max_detections

    def select(self, scored: Scored, size: tuple[int, int], original_size: tuple[int, int]) -> Selected:
        """Return the detections of one image, in the frame of NMS: the network's input or the original image.

        Args:
            scored: Boxes ``[R, K or 1, 4]`` in pixels of the network's input, and scores ``[R, K]``.
            size: (height, width) of the network's input without padding.
            original_size: (height, width) of the original image.
        """
        boxes, scores = scored
        if self.nms_at_original_scale:
            boxes = rescale(boxes, size, original_size)
        regions, labels = (scores > self.score_threshold).nonzero(as_tuple=True)
        scores = scores[regions, labels]
        boxes = boxes[regions, labels if boxes.shape[1] > 1 else torch.zeros_like(labels)]
        return self.best(Selected(boxes, scores, labels))

    def best(self, candidates: Selected) -> Selected:
        """Return the best ``max_detections`` candidates after NMS by class, with the scores that soft-NMS leaves."""
        kept, scores = self.suppression(*candidates, self.max_detections)
        return Selected(candidates.boxes[kept], scores, candidates.labels[kept])

    def to_original(
        self, selected: Selected, masks: Tensor, size: tuple[int, int], original_size: tuple[int, int]
    ) -> tuple[Selected, Tensor]:
        """Return detections in pixels of the original image, and their mask probabilities.

        Args:
            selected: Detections in the frame of NMS.
            masks: Mask probabilities inside the boxes, ``[D, M, M]``.
            size: (height, width) of the network's input without padding.
            original_size: (height, width) of the original image.
        """
        boxes, scores, labels = selected
        if not self.nms_at_original_scale:
            boxes = rescale(boxes, size, original_size)
        if not self.clip_to_original:
            return Selected(boxes, scores, labels), masks
        boxes = clip_to_image(boxes, original_size)
        kept = nonempty(boxes)
        return Selected(boxes[kept], scores[kept], labels[kept]), masks[kept]
