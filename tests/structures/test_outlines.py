"""Outlines of masks: COCO's rasterization gives the same pixels again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from splitnest.structures.masks import polygons_to_mask
from splitnest.structures.outlines import join_polygons, mask_outline


def test_empty_mask_has_no_outline() -> None:
    assert len(mask_outline(np.zeros((3, 4), bool))) == 0
    assert len(mask_outline(np.zeros((0, 0), bool))) == 0
    assert len(join_polygons([])) == 0


def test_one_pixel() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    assert sorted(map(tuple, mask_outline(mask).reshape(-1, 2).tolist())) == [(2, 1), (2, 2), (3, 1), (3, 2)]


@settings(max_examples=100, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_rasterized_outline_is_the_mask(mask: np.ndarray) -> None:
    outline, (height, width) = mask_outline(mask), mask.shape
    assert (polygons_to_mask([outline] if len(outline) else [], (height, width)) == mask).all()
    if len(outline):
        rles = coco_mask.frPyObjects([outline.tolist()], height, width)
        assert (coco_mask.decode(coco_mask.merge(rles)) == mask).all()


@pytest.mark.parametrize("hole", [False, True])
def test_ring_and_parts_are_one_polygon(hole: bool) -> None:
    ys, xs = np.mgrid[:90, :120]
    distance = (ys - 40) ** 2 + (xs - 50) ** 2
    mask = (distance < 900) & ~(hole & (distance < 100)) | ((ys > 75) & (xs > 100))
    assert (polygons_to_mask([mask_outline(mask)], (90, 120)) == mask).all()
