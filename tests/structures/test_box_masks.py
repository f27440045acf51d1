"""Cropped masks: same RLE and dense masks as uncropped ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from splitnest.structures import Detections
from splitnest.structures.box_masks import BoxMasks
from splitnest.structures.categories import from_names

SIZE = (9, 7)


@st.composite
def cropped_masks(draw: st.DrawFn) -> BoxMasks:
    """Draw masks of a small image, among them empty ones and ones of the whole image."""
    crops, corners = [], []
    for _ in range(draw(st.integers(0, 4))):
        top, left = draw(st.integers(0, SIZE[0])), draw(st.integers(0, SIZE[1]))
        height, width = draw(st.integers(0, SIZE[0] - top)), draw(st.integers(0, SIZE[1] - left))
        seed, fraction = draw(st.integers(0, 1000)), draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
        crops.append(np.random.default_rng(seed).random((height, width)) < fraction)
        corners.append((top, left))
    return BoxMasks(tuple(crops), np.array(corners, np.int64).reshape(-1, 2), SIZE)


@settings(max_examples=100, deadline=None)
@given(cropped_masks())
def test_rle_matches_pycocotools(masks: BoxMasks) -> None:
    for rle, dense in zip(masks.rles(), masks.dense(), strict=True):
        expected = coco_mask.encode(np.asfortranarray(dense, np.uint8))
        assert rle == {"size": list(SIZE), "counts": expected["counts"].decode()}


@settings(max_examples=50, deadline=None)
@given(cropped_masks(), st.integers(0, 3))
def test_masks_are_selected(masks: BoxMasks, count: int) -> None:
    assert np.array_equal(masks[:count].dense(), masks.dense()[:count])
    selected = np.arange(len(masks)) % 2 == 0
    assert np.array_equal(masks[selected].dense(), masks.dense()[selected])
    assert np.array_equal(BoxMasks.from_dense(masks.dense()).dense(), masks.dense())


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


def test_detections_accept_cropped_and_dense_masks() -> None:
    masks = BoxMasks((np.ones((2, 3), bool), np.zeros((0, 0), bool)), np.array([[4, 1], [0, 0]]), SIZE)
    cropped, dense = detections(masks), detections(masks.dense())
    assert cropped.to_dict() == dense.to_dict()
    assert cropped.to_coco(5) == dense.to_coco(5)
    assert "_dense" in vars(cropped)
    assert vars(cropped)["_dense"] is None  # none of these calls made dense masks
    assert repr(cropped) == repr(dense)
    assert np.array_equal(cropped[1:].masks, dense[1:].masks)
    assert np.array_equal(cropped.masks, dense.masks)
    assert not cropped.masks.flags.writeable
    assert cropped.masks is cropped.masks
    assert detections(None).masks is None
    assert detections(None).box_masks is None


def test_masks_of_another_image_are_rejected() -> None:
    masks = BoxMasks((np.ones((2, 3), bool),), np.array([[8, 1]]), SIZE)
    with pytest.raises(ValueError, match=r"Detections.masks has a crop that crosses the border"):
        detections(masks)
    with pytest.raises(ValueError, match=r"Detections.masks has 1 masks of size \(9, 7\), not 1 of size \(3, 3\)"):
        Detections(
            np.zeros((1, 4), np.float32),
            np.ones(1, np.float32),
            np.zeros(1, np.int64),
            masks,
            image_size=(3, 3),
            categories=from_names(("thing",)),
        )
