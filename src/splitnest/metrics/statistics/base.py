"""Interface of the statistics of all tasks.

Shapes: I images, B samples of images.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.generic]]
"""Arrays of plain numbers by name."""


class ImageStatistics(ABC):
    """What a metric needs to know of each image. Images that were drawn several times count as often.

    Attributes:
        kind: Name of the type in files.
    """

    kind: ClassVar[str]

    @abstractmethod
    def metrics(self, weights: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Return metrics by name, ``[B]``, from 0 to 1, or -1 for an undefined one; models are compared by the first.

        Args:
            weights: How often each sample has each image, ``[B, I]``.
        """

    @abstractmethod
    def image_scores(self) -> NDArray[np.float64]:
        """Return a score of each image alone, ``[I]``, from 0 to 1, more is better; NaN where it is undefined."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return everything as arrays, for a file."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the statistics of ``arrays``.

        Raises:
            KeyError, ValueError: An array is missing, or has another shape.
        """

    @property
    @abstractmethod
    def num_images(self) -> int:
        """Number of images."""


def defined_mean(values: NDArray[np.float64], is_defined: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of the defined values of each row ``[B, K]``; -1 for a row without any."""
    counts = is_defined.sum(axis=1)
    sums = np.where(is_defined, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), -1.0)
