"""Panoptic segmentations of a few segments, for tests of panoptic quality."""

from typing import Any, NamedTuple

import numpy as np

from splitnest.metrics.panoptic_quality import PanopticQuality
from splitnest.structures import PanopticSegmentation, SegmentInfo
from splitnest.structures.categories import Categories, Category
from splitnest.structures.panoptic_labels import PanopticLabels


class Segment(NamedTuple):
    """Segment of ground truth or prediction: its id in the segment map, its class, and whether it is a crowd region."""

    id: int
    label: int
    iscrowd: bool = False


def classes(things: int, stuff: int) -> Categories:
    is_thing = [True] * things + [False] * stuff
    return Categories(tuple(Category(n + 1, f"class {n}", (0, 0, 0), thing) for n, thing in enumerate(is_thing)))


CLASSES = classes(3, 2)


def ground_truth(segment_map: Any, *segments: Segment) -> PanopticLabels:
    return PanopticLabels(
        np.array(segment_map, np.int32),
        np.array([segment.id for segment in segments], np.int64),
        np.array([segment.label for segment in segments], np.int64),
        np.array([segment.iscrowd for segment in segments], bool),
    )


def prediction(segment_map: Any, *segments: Segment, categories: Categories = CLASSES) -> PanopticSegmentation:
    segment_map = np.array(segment_map, np.int32)
    infos = [
        SegmentInfo(
            id=segment.id,
            category=segment.label,
            isthing=categories[segment.label].is_thing,
            score=None,
            area=int((segment_map == segment.id).sum()),
        )
        for segment in segments
    ]
    return PanopticSegmentation(segment_map, infos, image_size=segment_map.shape, categories=categories)


def quality_of(gt: PanopticLabels, predicted: PanopticSegmentation) -> PanopticQuality:
    """Return the panoptic quality of one image."""
    quality = PanopticQuality(predicted.categories)
    quality.update(gt, predicted)
    return quality
