"""The order in which a model is shown its photographs: a function of seed and step."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Generator
from torch.utils.data import DataLoader

from splitnest.data.corrupt import CorruptImages, Replacing, Usable
from splitnest.data.workers import leave_signals_to_the_parent, plain_worker_errors
from splitnest.errors import UsageError
from splitnest.processes import rank, world_size
from splitnest.recipe.training import CropTraining, DetectionTraining

S = TypeVar("S")
T = TypeVar("T")
S_co = TypeVar("S_co", covariant=True)


def own_parts(batch: Sequence[T], parts: int, rank: int, world_size: int) -> list[Sequence[T]]:
    """Return what one of several processes has of each part that a batch is split into, one after the other.

    The parts are equal; where a part does not divide by the number of processes, the first ones have one more.

    Args:
        batch: Of all processes.
        parts: That are accumulated.
        rank: Of the process.
        world_size: Number of processes.
    """
    size = len(batch) // parts
    first, end = (-(-size * number // world_size) for number in (rank, rank + 1))
    return [batch[size * part + first : size * part + end] for part in range(parts)]


class AugmentedPhotographs(Protocol[S_co]):
    """What a model is trained on: a training set of any task."""

    def __getitem__(self, key: tuple[int, int]) -> S_co:
        """Return the sample of an epoch and a photograph."""

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each photograph, ``[I, 2]``."""


class BatchOrder:
    """Batches of photographs, shuffled anew each epoch.

    An epoch has whole batches only: the photographs that are over, other ones each time, wait for the next.

    Args:
        sizes_hw: Height and width of each photograph, ``[I, 2]``.
        batch_size: Photographs of a batch.
        seed: Of the shuffling.
        group_by_aspect: The photographs of a batch are all wider than high, or all not, as padding is then least; only
            what is over of both kinds is mixed, in the last batch.

    Attributes:
        steps_per_epoch: Batches of an epoch.

    Raises:
        UsageError: There are fewer photographs than a batch has.
    """

    def __init__(self, sizes_hw: NDArray[np.int64], batch_size: int, seed: int, group_by_aspect: bool = True) -> None:
        if len(sizes_hw) < batch_size:
            raise UsageError(
                f"A batch of {batch_size} needs more samples than the {len(sizes_hw)} that there are to train on. "
                f"Set train.batch_size to {len(sizes_hw)} or less."
            )
        self.batch_size, self.seed, self.group_by_aspect = batch_size, seed, group_by_aspect
        self.steps_per_epoch = len(sizes_hw) // batch_size
        self._is_wide = sizes_hw[:, 1] > sizes_hw[:, 0]

    def epoch(self, epoch: int) -> NDArray[np.int64]:
        """Return the indices of the photographs of each batch, ``[steps_per_epoch, batch_size]``."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
        shuffled = rng.permutation(len(self._is_wide))
        if self.group_by_aspect:
            shuffled = self._grouped(shuffled)
        return shuffled[: self.steps_per_epoch * self.batch_size].reshape(-1, self.batch_size)

    def from_step(self, step: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield epoch and batch of ``step``, counted from 0, and of all steps after it, without end."""
        epoch, done = divmod(step, self.steps_per_epoch)
        while True:
            for batch in self.epoch(epoch)[done:]:
                yield epoch, batch
            epoch, done = epoch + 1, 0

    def _grouped(self, shuffled: NDArray[np.int64]) -> NDArray[np.int64]:
        """Put batches of one kind first, in the order in which they fill up, and then what is over."""
        is_wide = self._is_wide[shuffled]
        batches: list[NDArray[np.int64]] = []
        over: list[NDArray[np.int64]] = []
        for kind in (True, False):
            places = np.flatnonzero(is_wide == kind)
            whole = len(places) // self.batch_size * self.batch_size
            batches += list(places[:whole].reshape(-1, self.batch_size))
            over.append(places[whole:])
        batches.sort(key=lambda batch: int(batch[-1]))
        return shuffled[np.concatenate([*batches, np.sort(np.concatenate(over))])]


def training_loader(
    training_set: AugmentedPhotographs[S],
    train: DetectionTraining | CropTraining,
    start_step: int = 0,
    corrupt: CorruptImages | None = None,
) -> Iterator[tuple[int, list[S]]]:
    """Return an endless iterator over epoch and photographs of each step, the same for any number of workers.

    One of several processes gets its own photographs of each step.

    In place of a photograph that cannot be used comes the next one that can. The iterator raises a DataError where too
    many cannot, or a worker process dies.

    Args:
        training_set: The photographs.
        train: ``train`` of the recipe.
        start_step: Step that comes first, counted from 0; a training that is resumed goes on where it was.
        corrupt: Counts and reports the photographs that cannot be used; None for a count of this iterator's own.

    Raises:
        UsageError: There are fewer photographs than a batch has.
    """
    sizes_hw = training_set.sizes_hw
    order = BatchOrder(sizes_hw, train.batch_size, train.seed, train.group_by_aspect)
    corrupt = corrupt or CorruptImages(len(sizes_hw), train.corrupt_share)
    loader = DataLoader(
        Replacing(training_set, len(sizes_hw), corrupt.allowed),
        batch_sampler=_Keys(order, start_step, train.accumulate),
        num_workers=train.workers,
        collate_fn=list,  # the images differ in size; to pad them into one tensor is the affair of splitnest.batch
        worker_init_fn=leave_signals_to_the_parent,
        generator=Generator(),  # else the loader would draw a seed from torch's own, which belongs to the model
    )
    return _batches(loader, start_step, order.steps_per_epoch, corrupt)


def _batches(
    loader: DataLoader[Usable[S]], start_step: int, steps_per_epoch: int, corrupt: CorruptImages
) -> Iterator[tuple[int, list[S]]]:
    with plain_worker_errors():
        for step, items in enumerate(loader, start=start_step):
            for item in items:
                corrupt.add(item.errors)
            yield step // steps_per_epoch, [item.sample for item in items if item.sample is not None]


class _Keys:
    """Yields what a training set is asked for, batch by batch, without end; so workers start once and stay."""

    def __init__(self, order: BatchOrder, start_step: int, parts: int) -> None:
        self.order, self.start_step, self.parts = order, start_step, parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch, batch in self.order.from_step(self.start_step):
            own = own_parts(batch.tolist(), self.parts, rank(), world_size())
            yield [(epoch, index) for part in own for index in part]
