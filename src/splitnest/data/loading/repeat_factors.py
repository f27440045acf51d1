"""Repeat-factor sampling of images with rare classes (LVIS; Gupta et al. 2019, section 5).

Shapes: I samples, P pairs of a sample and a class that it contains.
"""

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-6
"""Tolerance of sums of fractions."""


def repeat_factors(
    samples: NDArray[np.int64], labels: NDArray[np.int64], num_samples: int, threshold: float
) -> NDArray[np.float64]:
    """Return the repeat factor of each sample, ``[I]``, at least 1.

    The repeat factor of a class is ``max(1, sqrt(threshold / f))``, where f is the fraction of samples that contain
    it. That of a sample is the maximum over its classes, and 1 without classes.

    Args:
        samples: Sample of each pair, ``[P]``; pairs may occur several times.
        labels: Class of each pair, ``[P]``.
        num_samples: I.
        threshold: Fraction of samples below which a class is repeated.
    """
    factors = np.ones(num_samples)
    pairs = np.unique(np.stack([samples, labels], axis=1), axis=0)
    counts = np.bincount(pairs[:, 1])
    of_pairs = np.sqrt(threshold * num_samples / counts[pairs[:, 1]])
    np.maximum.at(factors, pairs[:, 0], of_pairs)
    return factors


def draws(factors: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how many times each sample is drawn, ``[I]``: its factor rounded down or up at random.

    The mean of the number is the factor. Systematic sampling rounds the fractions, so that the sum differs by at most 1
    between epochs.

    Args:
        factors: Repeat factors ``[I]`` of samples in random order.
        rng: Random generator.
    """
    whole = np.floor(factors)
    fractions = np.floor(np.cumsum(factors - whole) + rng.random())
    return (whole + np.diff(fractions, prepend=0.0)).astype(np.int64)


def min_draws(factors: NDArray[np.float64]) -> int:
    """Return a number of draws that every epoch has."""
    whole = np.floor(factors)
    return int(whole.sum()) + max(int((factors - whole).sum() - ROUNDING), 0)


def occurrences(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many times the value of each element occurred before it, ``[len(indices)]``."""
    order = np.argsort(indices, kind="stable")
    ordered = indices[order]
    is_first = np.diff(ordered, prepend=-1) > 0
    starts = np.flatnonzero(is_first)
    numbers = np.empty_like(indices)
    numbers[order] = np.arange(len(indices)) - starts[np.cumsum(is_first) - 1] if len(indices) else 0
    return numbers
