"""Batch sampler: the order of training samples as a function of seed and step.

Shapes: I samples.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from splitnest.data.loading.class_aware import ClassAwareDraws
from splitnest.data.loading.repeat_factors import draws, min_draws, occurrences
from splitnest.data.loading.seeds import generator
from splitnest.errors import UsageError

T = TypeVar("T")

REPEAT = 1_000_000_000
"""Difference of the epoch in the keys of two draws of a sample in an epoch; no training has as many epochs."""


class BatchSampler:
    """Batches of sample indices, shuffled in each epoch.

    An epoch has complete batches only. The samples left over differ from epoch to epoch.

    Args:
        sizes_hw: Height and width of each sample, ``[I, 2]``.
        batch_size: Samples of a batch, over all processes.
        seed: Seed of the shuffling.
        group_by_aspect_ratio: Whether a batch holds images that are either all wider than high or all not, which
            minimizes padding. Only the last batch may mix what is left of both groups.
        repeat_factors: Expected number of times that each sample is drawn in an epoch, ``[I]``, at least 1; None draws
            each once.
        class_aware: Draws of an epoch, as many as there are samples, instead of those of ``repeat_factors``.

    Attributes:
        steps_per_epoch: Number of batches of an epoch.

    Raises:
        UsageError: There are fewer samples than a batch has.
    """

    def __init__(
        self,
        sizes_hw: NDArray[np.int64],
        batch_size: int,
        seed: int,
        group_by_aspect_ratio: bool = True,
        repeat_factors: NDArray[np.float64] | None = None,
        class_aware: ClassAwareDraws | None = None,
    ) -> None:
        if len(sizes_hw) < batch_size:
            raise UsageError(
                f"train.batch_size is {batch_size}, but there are only {len(sizes_hw)} training samples. Set it to "
                f"{len(sizes_hw)} or less."
            )
        self.batch_size, self.seed, self.group_by_aspect_ratio = batch_size, seed, group_by_aspect_ratio
        self.repeat_factors, self.class_aware = repeat_factors, class_aware
        length = len(sizes_hw) if repeat_factors is None else min_draws(repeat_factors)
        self.steps_per_epoch = length // batch_size
        self._is_wide = sizes_hw[:, 1] > sizes_hw[:, 0]

    def epoch(self, epoch: int) -> NDArray[np.int64]:
        """Return the sample indices of an epoch, ``[steps_per_epoch, batch_size]``."""
        rng = generator(self.seed, epoch)
        if self.class_aware is not None:
            shuffled = self.class_aware.draw(len(self._is_wide), rng)
        else:
            shuffled = rng.permutation(len(self._is_wide))
            if self.repeat_factors is not None:
                shuffled = rng.permutation(np.repeat(shuffled, draws(self.repeat_factors[shuffled], rng)))
        if self.group_by_aspect_ratio:
            shuffled = self._grouped(shuffled)
        return shuffled[: self.steps_per_epoch * self.batch_size].reshape(-1, self.batch_size)

    def from_step(self, step: int) -> Iterator[list[tuple[int, int]]]:
        """Yield the keys of a step, counted from 0, and of all following steps, without end.

        The key of a sample is the epoch and its index, and seeds its augmentation. For the second draw of a sample in
        an epoch, and later ones, ``REPEAT`` is added to the epoch, so that each draw is augmented in its own way.
        """
        epoch, done = divmod(step, self.steps_per_epoch)
        while True:
            batches = self.epoch(epoch)
            epochs = epoch + REPEAT * occurrences(batches.ravel()).reshape(batches.shape)
            for keys in zip(epochs[done:].tolist(), batches[done:].tolist(), strict=True):
                yield list(zip(*keys, strict=True))
            epoch, done = epoch + 1, 0

    def _grouped(self, shuffled: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return complete batches of one group in the order in which they fill up, and then the rest."""
        is_wide = self._is_wide[shuffled]
        batches: list[NDArray[np.int64]] = []
        rest: list[NDArray[np.int64]] = []
        for group in (True, False):
            places = np.flatnonzero(is_wide == group)
            complete = len(places) // self.batch_size * self.batch_size
            batches += list(places[:complete].reshape(-1, self.batch_size))
            rest.append(places[complete:])
        batches.sort(key=lambda batch: int(batch[-1]))
        return shuffled[np.concatenate([*batches, np.sort(np.concatenate(rest))])]


def process_share(batch: Sequence[T], accumulate: int, rank: int, world_size: int) -> list[Sequence[T]]:
    """Return the share of one process in each accumulated part of a batch.

    All shares of a process have one length. Where a part does not divide by the number of processes, the shares of
    the first processes are one longer than those of the others.

    Args:
        batch: Samples of all processes.
        accumulate: Number of parts that the batch is split into.
        rank: Rank of the process.
        world_size: Number of processes.
    """
    size = len(batch) // accumulate
    first, end = (-(-size * number // world_size) for number in (rank, rank + 1))
    return [batch[size * part + first : size * part + end] for part in range(accumulate)]
