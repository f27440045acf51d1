"""Connected regions of label maps."""

from collections import deque

import numpy as np
import pytest

from splitnest.structures.regions import connected_regions


def flood(values: np.ndarray, unlabeled: int) -> tuple[np.ndarray, list[int]]:
    """Return the regions by flood fill, in reading order."""
    regions, of_region = np.zeros(values.shape, np.int32), []
    for start in np.ndindex(values.shape):
        if regions[start] or values[start] == unlabeled:
            continue
        of_region.append(int(values[start]))
        regions[start] = len(of_region)
        queue = deque([start])
        while queue:
            y, x = queue.popleft()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if (
                    0 <= near[0] < values.shape[0]
                    and 0 <= near[1] < values.shape[1]
                    and not regions[near]
                    and values[near] == values[start]
                ):
                    regions[near] = len(of_region)
                    queue.append(near)
    return regions, of_region


def test_no_labeled_pixels() -> None:
    regions, values = connected_regions(np.full((3, 4), 255, np.uint8), 255)
    assert not regions.any()
    assert not len(values)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (9, 1), (5, 7), (23, 31)])
@pytest.mark.parametrize("num_values", [1, 2, 3, 6])
def test_regions_are_those_of_a_flood_fill(size_hw: tuple[int, int], num_values: int) -> None:
    for seed in range(5):
        values = np.random.default_rng(seed).integers(0, num_values, size_hw).astype(np.uint8)
        expected, of_region = flood(values, num_values - 1)
        regions, found = connected_regions(values, num_values - 1)
        np.testing.assert_array_equal(regions, expected)
        assert found.tolist() == of_region


def test_long_winding_region() -> None:
    values = np.zeros((41, 41), np.uint8)
    values[::2] = 1
    values[1::4, -1] = values[3::4, 0] = 1
    regions, found = connected_regions(values, 0)
    assert found.tolist() == [1]
    np.testing.assert_array_equal(regions, values)
