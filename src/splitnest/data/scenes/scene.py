"""Synthetic scene: an image with ground truth for every task."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitnest.data.scenes.classes import CATEGORIES, PERSON, THINGS
from splitnest.data.scenes.contours import mask_to_polygons
from splitnest.structures import Detections, PanopticSegmentation, Poses, SegmentInfo, SemanticSegmentation
from splitnest.structures.skeleton import COCO_NAMES


@dataclass(frozen=True, eq=False)
class SceneObject:
    """Instance in a scene.

    Attributes:
        label: Index into ``THINGS``.
        box: float32 ``[4]``, xyxy in pixels: the bounding box of ``mask``; x2 and y2 are exclusive.
        mask: bool ``[H, W]``, visible pixels.
        keypoints: float32 ``[17, 3]`` for a person: x and y in pixels, and COCO visibility (0 outside the image, with x
            and y of 0; 1 occluded; 2 visible). None for other classes.
    """

    label: int
    box: np.ndarray
    mask: np.ndarray
    keypoints: np.ndarray | None

    @cached_property
    def polygons(self) -> list[list[float]]:
        """Polygons ``[x1, y1, x2, y2, ...]`` of ``mask``; COCO rasterization reproduces the mask exactly."""
        return mask_to_polygons(self.mask)


@dataclass(frozen=True, eq=False)
class Scene:
    """Image with ground truth for every task.

    Attributes:
        image: uint8 RGB ``[H, W, 3]``.
        objects: 2 to 8 instances from far to near.
        semantic: uint8 ``[H, W]``, indices into ``CATEGORIES``.
        segments: int32 ``[H, W]``, id of the panoptic segment of each pixel, from 1.
        segments_info: One entry for each segment: the instances in the order of ``objects``, then the stuff segments.
    """

    image: np.ndarray
    objects: tuple[SceneObject, ...]
    semantic: np.ndarray
    segments: np.ndarray
    segments_info: tuple[SegmentInfo, ...]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.semantic.shape
        return height, width

    def detections(self) -> Detections:
        """Return the instances as detections with scores of 1."""
        count = len(self.objects)
        return Detections(
            boxes=np.stack([instance.box for instance in self.objects]),
            scores=np.ones(count, np.float32),
            labels=np.array([instance.label for instance in self.objects], np.int64),
            masks=np.stack([instance.mask for instance in self.objects]),
            image_size=self.image_size,
            categories=THINGS,
        )

    def semantic_segmentation(self) -> SemanticSegmentation:
        """Return the class of each pixel."""
        return SemanticSegmentation(self.semantic, image_size=self.image_size, categories=CATEGORIES)

    def panoptic_segmentation(self) -> PanopticSegmentation:
        """Return the panoptic segment of each pixel."""
        return PanopticSegmentation(
            self.segments, self.segments_info, image_size=self.image_size, categories=CATEGORIES
        )

    def poses(self) -> Poses:
        """Return the persons; keypoint scores are 1 if visible, 0.5 if occluded, and 0 outside the image."""
        persons = [(instance.box, instance.keypoints) for instance in self.objects if instance.keypoints is not None]
        keypoints = np.array([row for _, row in persons], np.float32).reshape(-1, len(COCO_NAMES), 3)
        return Poses(
            keypoints=keypoints[..., :2],
            scores=keypoints[..., 2] / np.float32(2),
            boxes=np.array([box for box, _ in persons], np.float32).reshape(-1, 4),
            box_scores=np.ones(len(persons), np.float32),
            image_size=self.image_size,
            categories=PERSON,
        )
