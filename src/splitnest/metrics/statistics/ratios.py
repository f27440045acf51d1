"""Statistics of metrics that are means of ratios of sums over images, such as PCK and NME.

Shapes: I images, B samples of images, C ratios of a metric.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.statistics.base import Arrays, ImageStatistics, defined_mean
from splitnest.metrics.statistics.errors import is_error

Sums = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Numerators and denominators of each image, ``[I, C]``."""


class RatioStatistics(ImageStatistics):
    """Metrics that are means over ratios, each of which is a sum over images divided by another one.

    Args:
        sums: Metric -> its sums; models are compared by the first.
    """

    kind = "ratios"

    def __init__(self, sums: Mapping[str, Sums]) -> None:
        self._sums = dict(sums)

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(next(iter(self._sums.values()))[0])

    def metrics(self, weights: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics, ``[B]``; -1 where no denominator is positive."""
        values = {}
        for name, (numerators, denominators) in self._sums.items():
            above, below = weights @ numerators, weights @ denominators
            ratios = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
            values[name] = defined_mean(ratios, below > 0)
        return values

    def image_scores(self) -> NDArray[np.float64]:
        """Return the first metric of each image, ``[I]``, or one minus it if it is an error, which is not below 0."""
        name = next(iter(self._sums))
        values = self.metrics(np.eye(self.num_images, dtype=np.int64))[name]
        scores = np.clip(1 - values, 0, 1) if is_error(name) else values
        return np.where(values < 0, np.nan, scores)

    def arrays(self) -> Arrays:
        """Return everything as arrays."""
        columns = {f"{name}/{number}": rows for name, pair in self._sums.items() for number, rows in enumerate(pair)}
        return {"names": np.array(list(self._sums)), **columns}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the statistics of ``arrays``."""
        names = [str(name) for name in arrays["names"]]
        pairs = {
            name: (np.asarray(arrays[f"{name}/0"], np.float64), np.asarray(arrays[f"{name}/1"], np.float64))
            for name in names
        }
        shapes = {rows.shape for pair in pairs.values() for rows in pair}
        if not names or any(above.shape != below.shape for above, below in pairs.values()):
            raise ValueError("arrays have other shapes")
        if {len(shape) for shape in shapes} != {2} or len({shape[0] for shape in shapes}) != 1:
            raise ValueError("arrays have other shapes")
        return cls(pairs)
