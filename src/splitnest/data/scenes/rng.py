"""Random number generator with the same stream on any machine and with any version of numpy."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class StableRng:
    """Random number generator whose stream depends on the key alone.

    It uses raw PCG64 output: numpy guarantees stable streams for bit generators, but not for distributions.

    Args:
        key: Integers that seed the stream.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(list(key))

    def random(self) -> float:
        """Return a number in ``[0, 1)``."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def uniform(self, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``."""
        return low + (high - low) * self.random()

    def bernoulli(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.random() < probability

    def choice(self, choices: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """Return one of ``choices``, with equal probabilities or in proportion to ``weights``."""
        if weights is None:
            return choices[int(self.random() * len(choices))]
        remaining = self.random() * sum(weights)
        for choice, weight in zip(choices, weights, strict=True):
            remaining -= weight
            if remaining < 0:
                return choice
        return choices[-1]

    def grid(self, rows: int, columns: int) -> np.ndarray:
        """Return numbers from -1 to 1 in steps of 1/128, float32 ``[rows, columns]``."""
        raw = self._bits.random_raw((rows * columns + 7) // 8).view(np.uint8)[: rows * columns]
        return (raw.astype(np.float32) * np.float32(1 / 128) - 1).reshape(rows, columns)
