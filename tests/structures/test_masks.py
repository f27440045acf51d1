"""Encoding of all segments of a map as RLE."""

import numpy as np
import pytest

from splitnest.structures.masks import mask_to_rle, rle_crop, segments_to_rles


def test_no_segments() -> None:
    assert segments_to_rles(np.zeros((3, 4), np.int32), np.zeros(0, np.int64)) == []


@pytest.mark.parametrize(("size_hw", "count"), [((1, 1), 1), ((4, 5), 3), ((7, 9), 30), ((30, 20), 2)])
def test_rles_are_those_of_single_masks(size_hw: tuple[int, int], count: int) -> None:
    rng = np.random.default_rng(0)
    segments = rng.integers(0, count + 1, size_hw).astype(np.int32)
    segments[-1, -1] = 1
    ids = rng.permutation(np.unique(segments[segments > 0]))
    assert segments_to_rles(segments, ids) == [mask_to_rle(segments == id_) for id_ in ids]


@pytest.mark.parametrize("size_hw", [(1, 1), (4, 5), (7, 9)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.7, 1.0])
def test_part_of_an_rle_in_its_box(size_hw: tuple[int, int], share: float) -> None:
    for seed in range(20):
        mask = np.random.default_rng(seed).random(size_hw) < share
        mask[: seed % 3, : seed % 4] = False
        crop, (left, top) = rle_crop(mask_to_rle(mask))
        pasted = np.zeros(size_hw, bool)
        pasted[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        np.testing.assert_array_equal(pasted, mask)
        assert not crop.size or (crop.any(axis=0)[[0, -1]].all() and crop.any(axis=1)[[0, -1]].all())
