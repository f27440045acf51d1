"""Relative coordinates that are read back as the same pixels."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from splitnest.data.writers.exact_numbers import invertible


def test_zero() -> None:
    assert invertible(0.0, 0.0, lambda number: number * 61) == 0


@settings(deadline=None)
@given(st.integers(1, 10_000), st.integers(0, 10**6), st.sampled_from([10, 8, 3, 30]))
def test_numbers_are_rasterized_alike(side: int, steps: int, parts: int) -> None:
    value = min(steps / parts, float(side))
    for start, read in (
        (value / side, lambda number: number * side),
        (value * 100 / side, lambda number: number * side / 100),
    ):
        found = read(invertible(value, start, read))
        assert abs(found - value) <= 2 * np.spacing(value)
        assert math.floor(5 * found + 0.5) == math.floor(5 * value + 0.5)
