"""Random choices that are the same on any machine and with any version of numpy."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")


class Dice:
    """A stream of random choices that depends on a key alone.

    It reads the raw numbers of PCG64, the only stream that numpy promises to keep between versions.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(list(key))

    def unit(self) -> float:
        """A number from 0 to 1, 1 excluded."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """A number from ``low`` to ``high``."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def pick(self, choices: Sequence[Choice], weights: Sequence[float] | None = None) -> Choice:
        """One of ``choices``, all alike or in proportion to ``weights``."""
        if weights is None:
            return choices[int(self.unit() * len(choices))]
        left = self.unit() * sum(weights)
        for choice, weight in zip(choices, weights, strict=True):
            left -= weight
            if left < 0:
                return choice
        return choices[-1]

    def grid(self, rows: int, columns: int) -> np.ndarray:
        """Numbers from -1 to 1 in steps of 1/128, float32 [rows, columns]."""
        raw = self._bits.random_raw((rows * columns + 7) // 8).view(np.uint8)[: rows * columns]
        return (raw.astype(np.float32) * np.float32(1 / 128) - 1).reshape(rows, columns)
