"""Encoding of all segments of a map as RLE."""

import numpy as np
import pytest

from splitnest.structures.masks import mask_to_rle, segments_to_rles


def test_no_segments() -> None:
    assert segments_to_rles(np.zeros((3, 4), np.int32), np.zeros(0, np.int64)) == []


@pytest.mark.parametrize(("size_hw", "count"), [((1, 1), 1), ((4, 5), 3), ((7, 9), 30), ((30, 20), 2)])
def test_rles_are_those_of_single_masks(size_hw: tuple[int, int], count: int) -> None:
    rng = np.random.default_rng(0)
    segments = rng.integers(0, count + 1, size_hw).astype(np.int32)
    segments[-1, -1] = 1
    ids = rng.permutation(np.unique(segments[segments > 0]))
    assert segments_to_rles(segments, ids) == [mask_to_rle(segments == id_) for id_ in ids]
