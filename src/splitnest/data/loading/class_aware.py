"""Class-aware sampling: classes take turns, and each draws from its own images (Shen et al. 2016, section 3.2).

Shapes: I samples, P pairs of a sample and a class that it contains.
"""

import numpy as np
from numpy.typing import NDArray


class ClassAwareDraws:
    """Draws of samples in which all classes are equally frequent (mmdetection ``ClassAwareSampler``).

    Args:
        samples: Sample of each pair, ``[P]``; pairs may occur several times.
        labels: Class of each pair, ``[P]``. Classes without samples are never drawn, nor are samples without classes.
        per_turn: Number of samples that are drawn of a class when it is its turn.

    Raises:
        ValueError: There are no pairs.
    """

    def __init__(self, samples: NDArray[np.int64], labels: NDArray[np.int64], per_turn: int) -> None:
        if not len(labels):
            raise ValueError("no sample has a class")
        pairs = np.unique(np.stack([labels, samples], axis=1), axis=0)
        starts = np.unique(pairs[:, 0], return_index=True)[1]
        self._samples_of = np.split(pairs[:, 1], starts[1:])
        self._per_turn = per_turn

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return samples, ``[count]``.

        Both the classes and the samples of a class are shuffled anew whenever all of them were drawn.
        """
        num_classes = len(self._samples_of)
        turns = _cycles(np.arange(num_classes), -(-count // self._per_turn), rng)
        classes = np.repeat(turns, self._per_turn)[:count]
        order = np.argsort(classes, kind="stable")
        counts = np.bincount(classes, minlength=num_classes).tolist()
        drawn = np.empty(count, np.int64)
        of_classes = zip(self._samples_of, counts, strict=True)
        drawn[order] = np.concatenate([_cycles(samples, number, rng) for samples, number in of_classes])
        return drawn


def _cycles(values: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a number of values, ``[count]``: all in random order, then all in another order, and so on."""
    repeats = -(-count // len(values))
    return rng.permuted(np.tile(values, (repeats, 1)), axis=1).ravel()[:count]
