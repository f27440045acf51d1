"""Classes that occur in the label maps of a semantic segmentation dataset.

Shapes: K classes.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from splitnest.data.class_counts import ClassCounts
from splitnest.errors import DataError
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories

MAX_LABEL_MAPS = 500
"""Number of label maps that are read if at least two classes occur in them; rare classes may be in others."""

CHUNK = 16
"""Number of label maps that are read before it is decided whether to read more."""


def label_histogram(labels: NDArray[np.unsignedinteger], categories: Categories) -> NDArray[np.int64]:
    """Return the pixels by class in a label map ``[H, W]``, and last the unlabeled ones: counts ``[K + 1]``."""
    unlabeled = SemanticSegmentation.unlabeled(categories)
    counts = np.bincount(labels.ravel(), minlength=unlabeled + 1)
    return np.append(counts[: len(categories)], counts[unlabeled])


def count_labels(
    read_labels: Callable[[int], NDArray[np.unsignedinteger]],
    count: int,
    categories: Categories,
    source: str,
    threads: int | None = None,
) -> ClassCounts:
    """Return how many labeled pixels each class has, from label maps in random order until all classes occurred.

    At most ``MAX_LABEL_MAPS`` are read if at least two classes occur in them. Unreadable label maps are passed over.

    Args:
        read_labels: Function from an index to a label map ``[H, W]``.
        count: Number of label maps.
        categories: Classes of the label maps.
        source: Name of the dataset in messages.
        threads: Number of threads that read; None for one per CPU core, 0 reads in this thread.

    Raises:
        DataError: No label map can be read.
    """
    total, num_read, error = np.zeros(len(categories) + 1, np.int64), 0, None

    def read(index: int) -> NDArray[np.int64] | DataError:
        try:
            return label_histogram(read_labels(index), categories)
        except DataError as fault:
            return fault

    order = np.random.default_rng(0).permutation(count).tolist()
    with _reading(threads) as map_labels:
        for start in range(0, count, CHUNK):
            num_present = np.count_nonzero(total[:-1])
            if num_present == len(categories) > 1 or (num_present > 1 and start >= MAX_LABEL_MAPS):
                break
            for result in map_labels(read, order[start : start + CHUNK]):
                if isinstance(result, DataError):
                    error = error or result
                else:
                    total, num_read = total + result, num_read + 1
    if not num_read and error is not None:
        raise error
    return label_counts(total, categories, source, f"in {num_read} of {count} label maps" if num_read < count else "")


@contextmanager
def _reading(threads: int | None) -> Iterator[Callable[..., Iterable[NDArray[np.int64] | DataError]]]:
    """Yield ``map``, or that of a thread pool."""
    if threads == 0:
        yield map
        return
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:  # Pillow decodes outside the GIL
        yield pool.map


def label_counts(total: NDArray[np.int64], categories: Categories, source: str, sample: str = "") -> ClassCounts:
    """Return the frequency of each class from the histogram of a dataset ``[K + 1]``: see ``label_histogram``."""
    counts = dict(zip(categories.names, total[:-1].tolist(), strict=True))
    return ClassCounts(
        source, "labeled pixels", counts, min_present=2, sample=sample, advice=_advice(categories, total)
    )


def _advice(categories: Categories, total: NDArray[np.int64]) -> str:
    if len(categories) < 2:
        return "List the background as a class too: data.classes=[background, ...], with 0 for its pixels."
    unlabeled = SemanticSegmentation.unlabeled(categories)
    if not total[-1]:
        return "Check the label maps: their values are class indices from 0."
    if len(categories) > 2:
        return f"Value {unlabeled} means unlabeled: write class indices from 0 to {len(categories) - 1}."
    first, second = categories.names
    return (
        f"Value {unlabeled} means unlabeled. If it marks {second!r} here, write 1 instead, or read the values 0 and "
        f"255 as colors: data.label_maps=colors data.palette='[[0, 0, 0], [255, 255, 255]]' for {first} and {second}."
    )
