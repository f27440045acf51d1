"""Semantic head of Panoptic FPN, and merging of instances with stuff."""

import numpy as np
import pytest
import torch

from splitnest.models.detection.panoptic_fpn import Merger
from splitnest.models.detection.semantic_head import SemanticHead, semantic_loss
from splitnest.structures import Detections
from splitnest.structures.categories import from_names, with_stuff

THINGS = from_names(["cat", "dog"])
ALL = with_stuff(THINGS, ["sky", "sea", "sand"])
SIZE = (4, 8)


def detections(*instances: tuple[float, int, tuple[slice, slice]]) -> Detections:
    """Return detections of (score, label, window of the mask)."""
    masks = np.zeros((len(instances), *SIZE), bool)
    for mask, (_, _, window) in zip(masks, instances, strict=True):
        mask[window] = True
    return Detections(
        boxes=np.zeros((len(instances), 4), np.float32),
        scores=np.array([score for score, _, _ in instances], np.float32),
        labels=np.array([label for _, label, _ in instances], np.int64),
        masks=masks,
        image_size=SIZE,
        categories=THINGS,
    )


def stuff(fill: int = 0) -> np.ndarray:
    return np.full(SIZE, fill)


def test_no_detections_and_no_stuff_is_void() -> None:
    result = Merger()(detections(), stuff(), ALL)
    assert len(result) == 0
    assert not result.segments.any()
    assert result.detections is not None


def test_better_instances_lie_over_worse_ones_and_both_over_stuff() -> None:
    left, middle = (slice(None), slice(0, 4)), (slice(None), slice(3, 8))
    result = Merger(min_stuff_area=1)(detections((0.9, 1, left), (0.75, 0, middle)), stuff(2), ALL)
    assert result.segments.tolist() == [[1, 1, 1, 1, 2, 2, 2, 2]] * 4
    assert [(row["category"], row["isthing"], row["score"], row["area"]) for row in result.segments_info] == [
        (1, True, pytest.approx(0.9), 16),
        (0, True, 0.75, 16),
    ]


def test_mostly_covered_instance_is_dropped() -> None:
    left = (slice(None), slice(0, 4))
    half, more = (slice(None), slice(2, 6)), (slice(None), slice(1, 5))
    assert len(Merger()(detections((0.9, 0, left), (0.8, 0, half)), stuff(), ALL)) == 2  # exactly half is not more
    assert len(Merger()(detections((0.9, 0, left), (0.8, 0, more)), stuff(), ALL)) == 1


def test_instances_under_the_minimum_score_and_with_empty_masks_are_dropped() -> None:
    full, empty = (slice(None), slice(None)), (slice(0, 0), slice(0, 0))
    result = Merger(min_stuff_area=1)(detections((0.9, 0, empty), (0.5, 1, full), (0.49, 0, full)), stuff(1), ALL)
    assert [row["category"] for row in result.segments_info] == [1]


def test_stuff_of_the_minimum_area_is_kept_and_class_0_is_not_stuff() -> None:
    semantic = stuff(3)
    semantic[0, :4] = 1
    semantic[1, :3] = 2
    semantic[2, :3] = 0
    result = Merger(min_stuff_area=4)(detections(), semantic, ALL)
    assert [(row["category"], row["isthing"], row["score"], row["area"]) for row in result.segments_info] == [
        (2, False, None, 4),
        (4, False, None, 22),
    ]
    assert (result.segments[1, :3] == 0).all()


def test_semantic_head_returns_logits_of_every_pixel() -> None:
    head = SemanticHead(8, 4, channels=6, norm="bn").eval()
    levels = {f"p{n}": torch.randn(2, 8, 64 >> n, 96 >> n) for n in range(2, 7)}
    assert head(levels).shape == (2, 4, 64, 96)
    keys = [key for key in head.state_dict() if key.endswith("conv.weight")]
    counted = {f"p{n}": sum(f".p{n}." in key for key in keys) for n in range(2, 6)}
    assert counted == {"p2": 1, "p3": 1, "p4": 2, "p5": 3}


def test_semantic_loss_is_the_mean_over_labeled_pixels() -> None:
    logits = torch.zeros(1, 4, 2, 2, requires_grad=True)
    labels = torch.tensor([[[0, 3], [255, 255]]], dtype=torch.uint8)
    assert semantic_loss(logits, labels).item() == pytest.approx(np.log(4), rel=1e-6)
    unlabeled = semantic_loss(logits, torch.full((1, 2, 2), 255, dtype=torch.uint8))
    unlabeled.backward()
    assert unlabeled.item() == 0
