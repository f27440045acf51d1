"""Panoptic FPN (Kirillov et al. 2019): a detector with masks and a semantic branch, merged into one segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from splitnest.batch import Batch
from splitnest.data.categories import Categories
from splitnest.detection.postprocess import PostProcessor
from splitnest.detection.rcnn import RCNN, Criterion, RawDetections
from splitnest.detection.roi_heads import RoIHeads
from splitnest.detection.rpn import RPN
from splitnest.detection.semantic_head import semantic_loss
from splitnest.layers.rows import best_classes, resized, whole
from splitnest.results import Detections, PanopticSegmentation, Result, SegmentInfo


class RawPanoptic(NamedTuple):
    """What ``forward`` returns: padded ``detections``, and ``semantic`` logits ``[N, 1 + stuff, H, W]``."""

    detections: RawDetections
    semantic: Tensor


@dataclass(frozen=True)
class Merger:
    """Instances over stuff, better instances over worse ones.

    Attributes:
        min_score: Instances under it are left out.
        max_overlap: So are those of which a larger share is covered by better ones.
        min_stuff_area: And kinds of stuff with fewer pixels of the photograph.
    """

    min_score: float = 0.5
    max_overlap: float = 0.5
    min_stuff_area: int = 4096

    def __call__(
        self, detections: Detections, semantic: NDArray[np.integer], categories: Categories
    ) -> PanopticSegmentation:
        """Merge the instances of a photograph with its stuff.

        Args:
            detections: With masks, best first.
            semantic: ``[H, W]``, 0 for things, from 1 for each kind of stuff.
            categories: Things, then stuff.
        """
        masks = detections.box_masks
        assert masks is not None
        segments = np.zeros(detections.image_size, np.int32)
        rows: list[SegmentInfo] = []
        num_things = len(detections.categories)
        of_objects = zip(masks.crops, detections.scores.tolist(), detections.labels.tolist(), strict=True)
        for row, (mask, score, label) in enumerate(of_objects):
            if score < self.min_score:
                break
            there = segments[masks.slices(row)]
            whole, free = int(mask.sum()), mask & (there == 0)
            area = int(free.sum())
            if whole == 0 or (whole - area) / whole > self.max_overlap or area == 0:
                continue
            there[free] = number = len(rows) + 1
            rows.append(SegmentInfo(id=number, category=label, isthing=True, score=score, area=area))
        for stuff in np.unique(semantic).tolist():
            free = (semantic == stuff) & (segments == 0)
            area = int(free.sum())
            if stuff == 0 or area < max(self.min_stuff_area, 1):
                continue
            segments[free] = number = len(rows) + 1
            category = num_things + stuff - 1
            rows.append(SegmentInfo(id=number, category=category, isthing=False, score=None, area=area))
        return PanopticSegmentation(segments, rows, detections, image_size=detections.image_size, categories=categories)


class PanopticFPN(RCNN):
    """A detector with masks, and a semantic branch on the same pyramid.

    Args:
        backbone, neck, rpn, roi_heads, post, criterion, categories: As of ``RCNN``.
        semantic_head: Classifies every pixel: things, or one kind of stuff.
        merger: Makes one segmentation of both.
        semantic_weight: Of the loss of ``semantic_head``.
        panoptic_categories: Things, which are ``categories``, then stuff.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        rpn: RPN,
        roi_heads: RoIHeads,
        post: PostProcessor,
        criterion: Criterion,
        categories: Categories,
        *,
        semantic_head: nn.Module,
        merger: Merger,
        semantic_weight: float,
        panoptic_categories: Categories,
    ) -> None:
        super().__init__(backbone, neck, rpn, roi_heads, post, criterion, categories)
        self.semantic_head, self.merger, self.semantic_weight = semantic_head, merger, semantic_weight
        self.panoptic_categories = panoptic_categories

    def forward(  # type: ignore[override]  # more than a detector gives
        self, images: Tensor, sizes: Tensor | None = None
    ) -> RawPanoptic:
        """Segment normalised images ``[N, 3, H, W]``; ``sizes`` as of ``RCNN``."""
        levels = self.neck(self.backbone(images))
        return RawPanoptic(self.raw_detections(levels, images, sizes), self.semantic_head(levels))

    def predict(self, batch: Batch) -> list[Result]:
        """Segment a batch; segments are in the frame of each photograph."""
        levels = self.neck(self.backbone(batch.images))
        return self.merged(self.detections(levels, batch), self.semantic_head(levels), batch)

    def merged(self, detections: Sequence[Detections], logits: Tensor, batch: Batch) -> list[Result]:
        """Merge the ``detections`` of each image with its stuff, of which ``logits`` ``[N, 1 + stuff, H, W]`` are."""
        of_images = zip(detections, self.semantic(logits, batch), strict=True)
        return [self.merger(found, semantic, self.panoptic_categories) for found, semantic in of_images]

    def semantic(self, logits: Tensor, batch: Batch) -> list[NDArray[np.integer]]:
        """Return the class of every pixel of each photograph, ``[H, W]``: 0 for things, from 1 for stuff."""
        labels = []
        for of_image, (h, w), size in zip(logits, batch.sizes, batch.original_sizes, strict=True):
            labels.append(best_classes([resized(whole(of_image[:, :h, :w]), size)]).cpu().numpy())
        return labels

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the detector and ``loss_semantic``.

        Raises:
            ValueError: The batch has no ground truth, or some of it is missing.
        """
        if batch.semantic is None:
            raise ValueError("a batch needs semantic, the class of every pixel, for a loss")
        levels = self.neck(self.backbone(batch.images))
        semantic = semantic_loss(self.semantic_head(levels), batch.semantic)
        return self.instance_losses(levels, batch) | {"loss_semantic": self.semantic_weight * semantic}
