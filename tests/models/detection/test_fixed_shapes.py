"""Selection of detections with static shapes, as exported networks have it."""

import pytest
import torch

from splitnest.errors import UsageError
from splitnest.models.detection.fixed_shapes import select
from splitnest.models.detection.nms import Suppression
from splitnest.models.detection.postprocess import PostProcessor
from splitnest.models.detection.regions import Regions
from splitnest.models.detection.roi_heads import Scored

SIZE = (40, 60)


def regions(num_proposals: int, num_classes: int) -> tuple[Regions, Scored]:
    """Return proposals of one image, and their scored boxes, one box for each class."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(num_proposals, 2, generator=generator) * 20
    boxes = torch.cat([corners, corners + 8], 1)
    scores = torch.rand(num_proposals, num_classes, generator=generator)
    return Regions.from_padded(boxes[None]), Scored(boxes[:, None].expand(-1, num_classes, -1), scores)


def post_processor(kind: str, max_detections: int) -> PostProcessor:
    suppression = Suppression(kind, 0.5, 0.5, 1e-3)
    return PostProcessor(
        nms_at_original_scale=False, clip_to_original=False, suppression=suppression, max_detections=max_detections
    )


@pytest.mark.parametrize(("num_proposals", "num_classes"), [(1, 1), (5, 2), (20, 3), (60, 3)])
def test_fewer_candidates_than_detections(num_proposals: int, num_classes: int) -> None:
    """A network of few classes and few proposals has fewer boxes than the detections that it may return."""
    proposals, scored = regions(num_proposals, num_classes)
    post = post_processor("hard", 100)
    padded = select(post, proposals, scored, num_proposals)
    expected = post.select(scored, SIZE, SIZE)
    count = int(padded.counts)
    assert count == len(expected.boxes) > 0
    assert padded.boxes.shape == (1, 100, 4)
    assert torch.equal(padded.boxes[0, :count], expected.boxes)
    assert torch.equal(padded.scores[0, :count], expected.scores)
    assert torch.equal(padded.labels[0, :count], expected.labels)
    assert not padded.boxes[0, count:].any()
    assert not padded.labels[0, count:].any()


@pytest.mark.parametrize("kind", ["linear", "gaussian"])
def test_soft_nms_is_refused(kind: str) -> None:
    proposals, scored = regions(5, 2)
    with pytest.raises(UsageError, match=r"Soft-NMS .* cannot be exported\. Set model\.nms=hard"):
        select(post_processor(kind, 100), proposals, scored, 5)
