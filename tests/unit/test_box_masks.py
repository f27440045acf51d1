"""Masks that are kept as the part of a picture that holds them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from splitnest.data.categories import from_names
from splitnest.results import Detections
from splitnest.results.box_masks import BoxMasks

SIZE = (9, 7)


@st.composite
def placed(draw: st.DrawFn) -> BoxMasks:
    """Masks of a small picture, empty and whole ones among them."""
    crops, corners = [], []
    for _ in range(draw(st.integers(0, 4))):
        top, left = draw(st.integers(0, SIZE[0])), draw(st.integers(0, SIZE[1]))
        height, width = draw(st.integers(0, SIZE[0] - top)), draw(st.integers(0, SIZE[1] - left))
        seed, share = draw(st.integers(0, 1000)), draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
        crops.append(np.random.default_rng(seed).random((height, width)) < share)
        corners.append((top, left))
    return BoxMasks(tuple(crops), np.array(corners, np.int64).reshape(-1, 2), SIZE)


@settings(max_examples=300, deadline=None)
@given(placed())
def test_rle_is_that_of_pycocotools(masks: BoxMasks) -> None:
    for rle, dense in zip(masks.rles(), masks.dense(), strict=True):
        expected = coco_mask.encode(np.asfortranarray(dense, np.uint8))
        assert rle == {"size": list(SIZE), "counts": expected["counts"].decode()}


@settings(max_examples=50, deadline=None)
@given(placed(), st.integers(0, 3))
def test_some_of_them(masks: BoxMasks, number: int) -> None:
    assert np.array_equal(masks[:number].dense(), masks.dense()[:number])
    chosen = np.arange(len(masks)) % 2 == 0
    assert np.array_equal(masks[chosen].dense(), masks.dense()[chosen])
    assert np.array_equal(BoxMasks.of_dense(masks.dense()).dense(), masks.dense())


def detections(masks: BoxMasks | np.ndarray | None) -> Detections:
    count = 0 if masks is None else len(masks)
    return Detections(
        np.zeros((count, 4), np.float32),
        np.linspace(1, 0, count, dtype=np.float32),
        np.zeros(count, np.int64),
        masks,
        image_size=SIZE,
        categories=from_names(("thing",)),
    )


def test_detections_of_parts_and_of_all_pixels() -> None:
    parts = BoxMasks((np.ones((2, 3), bool), np.zeros((0, 0), bool)), np.array([[4, 1], [0, 0]]), SIZE)
    ours, theirs = detections(parts), detections(parts.dense())
    assert ours.to_dict() == theirs.to_dict()
    assert ours.to_coco(5) == theirs.to_coco(5)
    assert "_dense" in vars(ours)
    assert vars(ours)["_dense"] is None  # nothing of this looked at all pixels
    assert repr(ours) == repr(theirs)
    assert np.array_equal(ours[1:].masks, theirs[1:].masks)
    assert np.array_equal(ours.masks, theirs.masks)
    assert not ours.masks.flags.writeable
    assert ours.masks is ours.masks
    assert detections(None).masks is None
    assert detections(None).box_masks is None


def test_masks_that_do_not_fit() -> None:
    parts = BoxMasks((np.ones((2, 3), bool),), np.array([[8, 1]]), SIZE)
    with pytest.raises(ValueError, match=r"Detections.masks reach out of the picture"):
        detections(parts)
    with pytest.raises(ValueError, match=r"Detections.masks are 1 of \(9, 7\), not 1 of \(3, 3\)"):
        Detections(
            np.zeros((1, 4), np.float32),
            np.ones(1, np.float32),
            np.zeros(1, np.int64),
            parts,
            image_size=(3, 3),
            categories=from_names(("thing",)),
        )
