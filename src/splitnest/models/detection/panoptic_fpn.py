"""Panoptic FPN (Kirillov et al. 2019): a detector with masks and a semantic branch, merged into one segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from splitnest.models.base import Forward, Model
from splitnest.models.detection.rcnn import RCNN, RawDetections
from splitnest.models.detection.semantic_head import semantic_loss
from splitnest.models.layers.logit_rows import Rows, best_classes, resized, whole
from splitnest.structures import Detections, PanopticSegmentation, Result, SegmentInfo
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories


class RawPanoptic(NamedTuple):
    """Output of ``PanopticFPN.forward``: padded ``detections``, and ``semantic`` logits ``[N, 1 + stuff, H, W]``."""

    detections: RawDetections
    semantic: Tensor


@dataclass(frozen=True)
class Merger:
    """Merging of instances and stuff: instances over stuff, better instances over worse ones.

    Attributes:
        min_score: Minimum score of an instance.
        max_overlap: Maximum fraction of an instance that better instances may cover.
        min_stuff_area: Minimum area of a stuff segment in pixels of the original image.
    """

    min_score: float = 0.5
    max_overlap: float = 0.5
    min_stuff_area: int = 4096

    def __call__(
        self, detections: Detections, semantic: NDArray[np.integer], categories: Categories
    ) -> PanopticSegmentation:
        """Merge the instances of an image with its stuff.

        Args:
            detections: Detections with masks, in descending order of their scores.
            semantic: ``[H, W]``, 0 for things, from 1 for stuff classes.
            categories: Thing classes, then stuff classes.
        """
        masks = detections.box_masks
        assert masks is not None
        segments = np.zeros(detections.image_size, np.int32)
        infos: list[SegmentInfo] = []
        num_things = len(detections.categories)
        instances = zip(masks.crops, detections.scores.tolist(), detections.labels.tolist(), strict=True)
        for row, (mask, score, label) in enumerate(instances):
            if score < self.min_score:
                break
            part = segments[masks.slices(row)]
            total_area, free = int(mask.sum()), mask & (part == 0)
            area = int(free.sum())
            if total_area == 0 or (total_area - area) / total_area > self.max_overlap or area == 0:
                continue
            part[free] = segment_id = len(infos) + 1
            infos.append(SegmentInfo(id=segment_id, category=label, isthing=True, score=score, area=area))
        for stuff in np.unique(semantic).tolist():
            free = (semantic == stuff) & (segments == 0)
            area = int(free.sum())
            if stuff == 0 or area < max(self.min_stuff_area, 1):
                continue
            segments[free] = segment_id = len(infos) + 1
            category = num_things + stuff - 1
            infos.append(SegmentInfo(id=segment_id, category=category, isthing=False, score=None, area=area))
        return PanopticSegmentation(
            segments, infos, detections, image_size=detections.image_size, categories=categories
        )


class PanopticFPN(Model):
    """Panoptic segmentation: a detector, a semantic head on the same feature pyramid, and a merger.

    Args:
        detector: Detector with masks.
        semantic_head: Head that classifies every pixel as things or a stuff class.
        merger: Merger of instances and stuff.
        categories: Thing classes, which are those of the detector, then stuff classes.
        semantic_weight: Weight of the semantic loss.
    """

    input_names = RCNN.input_names
    output_names = (*RCNN.output_names, "semantic")

    def __init__(
        self, detector: RCNN, semantic_head: nn.Module, merger: Merger, categories: Categories, semantic_weight: float
    ) -> None:
        super().__init__()
        self.detector, self.semantic_head, self.merger = detector, semantic_head, merger
        self.categories, self.semantic_weight = categories, semantic_weight

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]  # an attribute of other models
        """Backbone of the detector."""
        return self.detector.backbone

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> RawPanoptic:
        """Segment normalized images; arguments as in ``RCNN.forward``."""
        features = self.detector.extract_features(images)
        return RawPanoptic(self.detector.forward_features(features, images, sizes), self.semantic_head(features))

    def forward_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return images and sizes of a batch."""
        return self.detector.forward_inputs(batch)

    def predict(self, batch: Batch) -> list[Result]:
        """Return the panoptic segmentation of each original image."""
        features = self.detector.extract_features(batch.images)
        return self.merge(self.detector.detect(features, batch), self.semantic_head(features), batch)

    def predict_with(self, forward: Forward, batch: Batch) -> list[Result]:
        """Return the panoptic segmentation of each original image, computed from the outputs of ``forward``."""
        *detections, semantic = pytree.tree_leaves(forward(*self.forward_inputs(batch)))
        return self.merge(self.detector.detections_of(RawDetections(*detections), batch), semantic, batch)

    def merge(self, detections: Sequence[Detections], logits: Tensor, batch: Batch) -> list[Result]:
        """Merge the detections of each image with its stuff, given by logits ``[N, 1 + stuff, H, W]``."""
        of_images = zip(detections, self.semantic(logits, batch), strict=True)
        return [self.merger(instances, semantic, self.categories) for instances, semantic in of_images]

    def semantic(self, logits: Tensor, batch: Batch) -> list[NDArray[np.integer]]:
        """Return the class of every pixel of each original image, ``[H, W]``: 0 for things, from 1 for stuff."""
        return [best_classes([rows]).cpu().numpy() for rows in self.semantic_rows(logits, batch)]

    def semantic_rows(self, logits: Tensor, batch: Batch) -> list[Rows]:
        """Return the logits ``[1 + stuff, H, W]`` of each original image, computed a few rows at a time."""
        of_images = zip(logits, batch.sizes, batch.original_sizes, strict=True)
        return [resized(whole(of_image[:, :h, :w]), size) for of_image, (h, w), size in of_images]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the detector and ``loss_semantic``.

        Raises:
            ValueError: The batch has no ground truth, or part of it is missing.
        """
        if batch.semantic is None:
            raise ValueError("the batch has no semantic labels, the ground truth of the loss")
        features = self.detector.extract_features(batch.images)
        semantic = semantic_loss(self.semantic_head(features), batch.semantic)
        return self.detector.loss_of_features(features, batch) | {"loss_semantic": self.semantic_weight * semantic}

    @property
    def num_regions(self) -> int:  # type: ignore[override]  # as in RCNN
        """Number of proposals of an image at most."""
        return self.detector.num_regions

    @property
    def num_masks(self) -> int:  # type: ignore[override]  # as in RCNN
        """Number of masks of an image at most."""
        return self.detector.num_masks

    @property
    def layer_parts(self) -> list[nn.Module]:
        """Parts of the detector, and the semantic head."""
        return [*self.detector.layer_parts, self.semantic_head]

    def run_layers(self, images: Tensor, num_regions: int, num_masks: int) -> None:
        """Run every layer on N images with this number of regions and masks."""
        features = self.detector.extract_features(images)
        self.detector.run_layers_of(features, num_regions, num_masks)
        self.semantic_head(features)

    def run_training_layers(self, images: Tensor) -> None:
        """Run every layer and the semantic loss."""
        features = self.detector.extract_features(images)
        self.detector.run_layers_of(features, *self.detector.training_regions(len(images)))
        semantic_loss(self.semantic_head(features), images.new_zeros(len(images), *images.shape[2:]))
