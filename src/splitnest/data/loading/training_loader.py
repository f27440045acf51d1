"""Training data loader: samples of each step, loaded by worker processes, resumable at any step."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Generator
from torch.utils.data import DataLoader, Dataset

from splitnest.data.class_counts import ClassCounts
from splitnest.data.dataset import ImageDataset
from splitnest.data.loading.batch_sampler import BatchSampler, process_share
from splitnest.data.loading.class_aware import ClassAwareDraws
from splitnest.data.loading.corrupt import CorruptImages, LoadedSample, Replacing
from splitnest.data.loading.repeat_factors import ROUNDING, repeat_factors
from splitnest.data.loading.sample import TrainingSample
from splitnest.data.loading.workers import check_main_is_guarded, initialize_worker, plain_worker_errors
from splitnest.distributed import rank, world_size
from splitnest.recipe import Training

if TYPE_CHECKING:  # torchvision's transforms take a second to import
    from splitnest.data.augmentations.augmentations import Augmentations


class TrainingSet(Dataset[TrainingSample]):
    """Samples of a dataset that take part in training.

    ``training_set[epoch, index]`` is augmented at random, as a function of the seed, the epoch and the sample alone.

    Attributes:
        dataset: Dataset of the samples.
        augmentations: Augmentations of ``train.augment``.
    """

    dataset: ImageDataset
    augmentations: "Augmentations"

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def __getitem__(self, key: tuple[int, int]) -> TrainingSample:
        """Return the sample of an epoch and an index.

        Raises:
            DataError: Its image or its ground truth cannot be read.
        """

    @property
    @abstractmethod
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``."""

    def class_counts(self) -> list[ClassCounts]:
        """Return the frequency of the classes in the ground truth that takes part."""
        return self.dataset.class_counts()

    def class_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return sample and class of each label, for the sampling of rare classes; none for tasks without it."""
        return np.empty(0, np.int64), np.empty(0, np.int64)

    def summary(self) -> list[str]:
        """Return the number of samples, and what was excluded, in lines."""
        return [f"{len(self)} of {len(self.dataset)} images"]


class TrainingLoader:
    """Samples of training steps, the same for any number of worker processes.

    In a process group each process gets its share of a step. An unreadable image is replaced by the next readable one.

    Args:
        training_set: Samples.
        train_cfg: Section ``train`` of the recipe.
        keeps_workers: Whether worker processes are kept for the next iteration, which must start at the same step.

    Raises:
        UsageError: There are fewer samples than a batch has.
    """

    def __init__(self, training_set: TrainingSet, train_cfg: Training, *, keeps_workers: bool = False) -> None:
        check_main_is_guarded(train_cfg.workers)
        self._kept: DataLoader[LoadedSample] | None = None
        self._keeps_workers = keeps_workers and train_cfg.workers > 0
        self.training_set, self.train_cfg = training_set, train_cfg
        group = getattr(train_cfg, "group_by_aspect_ratio", False)
        threshold = getattr(train_cfg, "repeat_threshold", None)
        factors = None
        if threshold is not None:
            factors = repeat_factors(*training_set.class_pairs(), len(training_set), threshold)
            if getattr(train_cfg, "repeat_rounding", "random") == "up":
                factors = np.ceil(factors - ROUNDING)
        per_turn = getattr(train_cfg, "class_aware_samples", None)
        class_aware = None if per_turn is None else ClassAwareDraws(*training_set.class_pairs(), per_turn)
        sizes, size = training_set.sizes_hw, train_cfg.num_images
        self.sampler = BatchSampler(sizes, size, train_cfg.seed, group, factors, class_aware)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch."""
        return self.sampler.steps_per_epoch

    @cached_property
    def corrupt(self) -> CorruptImages:
        """Count of unreadable images, over all iterations of this loader."""
        return CorruptImages(len(self.training_set), self.train_cfg.max_corrupt_fraction)

    def start(self) -> None:
        """Start worker processes that are kept, for iterations from step 0; see ``EvaluationLoader.start``."""
        if self._keeps_workers:
            self._kept = self._loader(0)
            iter(self._kept)

    def steps(self, start: int) -> Iterator[list[list[LoadedSample]]]:
        """Yield the samples of step ``start`` and of all following steps, in the parts that are accumulated.

        Raises:
            DataError: Too many images are unreadable, or a worker process died.
            UserCodeError: The augmentation of the user fails.
        """
        loader = self._loader(start) if self._kept is None else self._kept
        self._kept = loader if self._keeps_workers else None
        with plain_worker_errors():
            for samples in loader:
                for sample in samples:
                    self.corrupt.add(sample.errors)
                    if sample.failure is not None:
                        raise sample.failure
                size = len(samples) // self.train_cfg.accumulate
                yield [samples[first : first + size] for first in range(0, len(samples), size)]

    def _loader(self, start: int) -> DataLoader[LoadedSample]:
        return DataLoader(
            Replacing(self.training_set, len(self.training_set), self.corrupt.allowed),
            batch_sampler=_Keys(self.sampler, start, self.train_cfg.accumulate),
            num_workers=self.train_cfg.workers,
            collate_fn=list,  # images differ in size; structures.batch pads them
            worker_init_fn=initialize_worker,
            persistent_workers=self._keeps_workers,
            generator=Generator(),  # otherwise the loader would draw a seed from torch's generator
        )


class _Keys:
    """Keys of the samples of each step, without end, so that worker processes start only once."""

    def __init__(self, sampler: BatchSampler, start: int, accumulate: int) -> None:
        self.sampler, self.start, self.accumulate = sampler, start, accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for keys in self.sampler.from_step(self.start):
            parts = process_share(keys, self.accumulate, rank(), world_size())
            yield [key for part in parts for key in part]
