"""What a scene consists of: a picture, and labels for every task."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitnest.data.scenes.classes import CATEGORIES, PERSON, THINGS
from splitnest.data.scenes.contours import mask_to_polygons
from splitnest.data.skeleton import COCO_NAMES
from splitnest.results import Detections, PanopticSegmentation, Poses, SegmentInfo, SemanticSegmentation


@dataclass(frozen=True, eq=False)
class SceneObject:
    """An object and what is visible of it.

    Attributes:
        label: Index into ``THINGS``.
        box: float32 [4], xyxy in pixels: the tight box of ``mask``, x2 and y2 one past its last pixel.
        mask: bool [H, W], its visible pixels.
        keypoints: float32 [17, 3] of a person: x, y in pixels, and COCO's visibility: 0 outside the image (x and y are
            0), 1 hidden, 2 visible. None for other classes.
    """

    label: int
    box: np.ndarray
    mask: np.ndarray
    keypoints: np.ndarray | None

    @cached_property
    def polygons(self) -> list[list[float]]:
        """The outline of ``mask``, [x1, y1, x2, y2, ...] each; COCO's rasteriser gives ``mask`` again."""
        return mask_to_polygons(self.mask)


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture with labels for every task.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        objects: 2 to 8, the farthest first.
        semantic: uint8 [H, W], indices into ``CATEGORIES``.
        segments: int32 [H, W], numbers of panoptic segments, from 1; every pixel belongs to one.
        segments_info: One row for each segment: the objects, in their order, then the stuff.
    """

    image: np.ndarray
    objects: tuple[SceneObject, ...]
    semantic: np.ndarray
    segments: np.ndarray
    segments_info: tuple[SegmentInfo, ...]

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.semantic.shape
        return height, width

    def detections(self) -> Detections:
        """The objects as a perfect detector would give them: scores of 1."""
        count = len(self.objects)
        return Detections(
            boxes=np.stack([one.box for one in self.objects]),
            scores=np.ones(count, np.float32),
            labels=np.array([one.label for one in self.objects], np.int64),
            masks=np.stack([one.mask for one in self.objects]),
            image_size=self.image_size,
            categories=THINGS,
        )

    def semantic_segmentation(self) -> SemanticSegmentation:
        """The class of every pixel."""
        return SemanticSegmentation(self.semantic, image_size=self.image_size, categories=CATEGORIES)

    def panoptic_segmentation(self) -> PanopticSegmentation:
        """The segment of every pixel."""
        return PanopticSegmentation(
            self.segments, self.segments_info, image_size=self.image_size, categories=CATEGORIES
        )

    def poses(self) -> Poses:
        """The people, with a score of 1 for visible keypoints, 0.5 for hidden ones and 0 for those outside."""
        people = [(one.box, one.keypoints) for one in self.objects if one.keypoints is not None]
        keypoints = np.array([row for _, row in people], np.float32).reshape(-1, len(COCO_NAMES), 3)
        return Poses(
            keypoints=keypoints[..., :2],
            scores=keypoints[..., 2] / np.float32(2),
            boxes=np.array([box for box, _ in people], np.float32).reshape(-1, 4),
            box_scores=np.ones(len(people), np.float32),
            image_size=self.image_size,
            categories=PERSON,
        )
