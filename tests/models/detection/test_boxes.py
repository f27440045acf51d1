"""Box coder, clipping, rescaling, NMS."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import nms

from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.boxes import clip, clip_to_image, nonempty, rescale
from splitnest.models.detection.nms import class_nms

EMPTY = torch.zeros(0, 4)


def test_no_boxes() -> None:
    coder = BoxCoder(clamp_shrinkage=True)
    assert coder.decode(torch.zeros(0, 12), EMPTY).shape == (0, 12)
    assert coder.encode(EMPTY, EMPTY).shape == (0, 4)
    assert clip_to_image(EMPTY, (4, 4)).shape == (0, 4)
    assert clip(EMPTY, torch.zeros(0, 2)).shape == (0, 4)
    assert nonempty(EMPTY).shape == (0,)
    assert class_nms(EMPTY, torch.zeros(0), torch.zeros(0, dtype=torch.long), 0.5).tolist() == []


side = st.floats(1, 500, width=32)
corner = st.floats(-100, 500, width=32)
box = st.tuples(corner, corner, side, side).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


@given(st.lists(st.tuples(box, box), min_size=1, max_size=5), st.sampled_from([(1, 1, 1, 1), (0.1, 0.1, 0.2, 0.2)]))
def test_decode_undoes_encode(pairs: list, stds: tuple) -> None:
    boxes, references = (torch.tensor(b, dtype=torch.float64) for b in zip(*pairs, strict=True))
    ratios = (boxes[:, 2:] - boxes[:, :2]) / (references[:, 2:] - references[:, :2])
    within = ((ratios < 1000 / 16) & (ratios > 16 / 1000)).all(1)
    coder = BoxCoder(stds, clamp_shrinkage=True)
    decoded = coder.decode(coder.encode(boxes, references), references)
    assert torch.allclose(decoded[within], boxes[within], atol=1e-8)


@pytest.mark.parametrize(("clamp", "side"), [(True, 16 * 16 / 1000), (False, 16 * math.exp(-9))])
def test_shrinkage_is_clamped_by_convention(clamp: bool, side: float) -> None:
    reference = torch.tensor([[0.0, 0.0, 16.0, 16.0]], dtype=torch.float64)
    small, large = torch.tensor([[0.0, 0.0, -9.0, -9.0], [0.0, 0.0, 9.0, 9.0]], dtype=torch.float64)
    coder = BoxCoder(clamp_shrinkage=clamp)
    shrunk, grown = coder.decode(small[None], reference)[0], coder.decode(large[None], reference)[0]
    assert math.isclose(shrunk[2] - shrunk[0], side, rel_tol=1e-9)
    assert math.isclose(grown[2] - grown[0], 1000, rel_tol=1e-9)


def test_deltas_of_several_classes() -> None:
    deltas = torch.zeros(1, 8)
    deltas[0, 4] = 1.0
    boxes = BoxCoder((0.5, 1, 1, 1), clamp_shrinkage=True).decode(deltas, torch.tensor([[0.0, 0.0, 4.0, 2.0]]))
    assert boxes.tolist() == [[0, 0, 4, 2, 2, 0, 6, 2]]


def test_clip_and_nonempty() -> None:
    boxes = torch.tensor([[-5.0, -5.0, 3.0, 30.0], [25.0, 1.0, 40.0, 2.0]])
    clipped = clip_to_image(boxes, (10, 20))
    assert clipped.tolist() == [[0, 0, 3, 10], [20, 1, 20, 2]]
    assert nonempty(clipped).tolist() == [True, False]
    sizes = torch.tensor([[10, 20], [10, 30]])
    assert clip(boxes, sizes).tolist() == [[0, 0, 3, 10], [25, 1, 30, 2]]
    assert torch.equal(clip(boxes[:, None].repeat(1, 3, 1), sizes)[:, 2], clip(boxes, sizes))


def test_rescale_has_one_factor_for_each_axis() -> None:
    boxes = rescale(torch.tensor([[2.0, 3.0, 4.0, 6.0]]), (30, 20), (10, 10))
    assert torch.allclose(boxes, torch.tensor([[1.0, 1.0, 2.0, 2.0]]))


def test_class_nms_equals_nms_of_each_class() -> None:
    corners = torch.rand(300, 2) * 200
    boxes = torch.cat((corners, corners + 5 + 60 * torch.rand(300, 2)), dim=1)
    scores, labels = torch.rand(300), torch.randint(0, 80, (300,)) % 3
    expected = torch.cat(
        [(labels == c).nonzero()[:, 0][nms(boxes[labels == c], scores[labels == c], 0.5)] for c in range(3)]
    )
    kept = class_nms(boxes, scores, labels, 0.5)
    assert sorted(kept.tolist()) == sorted(expected.tolist())
    assert (scores[kept].diff() <= 0).all()
