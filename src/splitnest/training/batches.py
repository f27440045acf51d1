"""Batches of a training set with the ground truth for losses, the same for any number of worker processes."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch

from splitnest.data.augmentations.augmentations import UserTransform
from splitnest.data.items import ImageSequence, Items
from splitnest.data.loading.corrupt import LoadedSample
from splitnest.data.loading.sample import TrainingSample
from splitnest.data.loading.seeds import LOSS, torch_seed
from splitnest.data.loading.training_loader import TrainingLoader, TrainingSet
from splitnest.distributed import all_reduce_max
from splitnest.recipe import Recipe, required_training
from splitnest.structures.batch import Batch, collate
from splitnest.tasks import Task, task_of
from splitnest.training.auto_batch_size import with_batch_size

T = TypeVar("T")


class TrainingBatches:
    """Batches of training steps, resumable at any step.

    Args:
        training_set: Training samples.
        recipe: Recipe with a training section.
        pin_memory: Whether batches are in pinned memory, for training on a GPU.
        keeps_workers: Same as in ``TrainingLoader``.

    Raises:
        UsageError: There are fewer samples than a batch has.
    """

    def __init__(
        self, training_set: TrainingSet, recipe: Recipe, *, pin_memory: bool = False, keeps_workers: bool = False
    ) -> None:
        self._pin_memory = pin_memory
        self.training_set, self.recipe, self.train_cfg = training_set, recipe, required_training(recipe)
        self.loader = TrainingLoader(training_set, self.train_cfg, keeps_workers=keeps_workers)
        self._task: Task[Any, Any] = task_of(recipe)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch."""
        return self.loader.steps_per_epoch

    def steps(self, start: int) -> Iterator[list[Batch]]:
        """Yield the batch of step ``start`` and of all following steps, in the parts that are accumulated.

        In a process group each process gets its share of each part, padded to the size of the whole part.

        Raises:
            DataError: Too many images are unreadable, or a worker process died.
        """
        for step, parts in enumerate(self.loader.steps(start), start=start):
            batches = [
                self._task.mix_batch(self._collate(part), self.recipe, step, number)
                for number, part in enumerate(parts)
            ]
            yield [batch.pin_memory() for batch in batches] if self._pin_memory else batches

    def _collate(self, loaded: Sequence[LoadedSample]) -> Batch:
        samples = [each.sample for each in loaded if each.sample is not None]
        images = [sample.image for sample in samples]
        labels = _present(sample.label for sample in samples)
        return collate(
            images,
            [sample.original_size for sample in samples],
            self._task.divisor(self.recipe),
            instances=_present(sample.instances for sample in samples),
            names=[sample.name for sample in samples],
            semantic=_present(sample.semantic for sample in samples),
            keypoints=_present(sample.keypoints for sample in samples),
            labels=None if labels is None else torch.tensor(labels),
            seeds=[torch_seed(self.train_cfg.seed, *each.key, LOSS) for each in loaded],
            min_size=self._min_size(samples),
        )

    def _min_size(self, samples: Sequence[TrainingSample]) -> tuple[int, int]:
        """Return the minimum padded height and width: of the recipe, and of the other processes for some tasks."""
        height, width = getattr(self.train_cfg, "pad_size", None) or (0, 0)
        largest = self._largest_size(samples) if self._task.pads_batches else (0, 0)
        return max(height, largest[0]), max(width, largest[1])

    def _largest_size(self, samples: Sequence[TrainingSample]) -> tuple[int, int]:
        """Return the largest height and width over all processes; collective."""
        height, width = all_reduce_max(*(max(sample.image.shape[axis] for sample in samples) for axis in (1, 2)))
        return height, width


def open_training(
    recipe: Recipe,
    device: torch.device | None = None,
    processes: int = 1,
    *,
    data: ImageSequence | None = None,
    augment: UserTransform | None = None,
) -> TrainingBatches:
    """Open the training dataset of a recipe, or one from Python; see ``TrainingBatches``.

    Args:
        recipe: Recipe with a training section.
        device: Device of the training, whose memory ``batch_size: auto`` fills; None for the CPU.
        processes: Number of processes of the training.
        data: Dataset from Python; None opens that of the recipe.
        augment: Augmentation of the user, after those of the recipe.

    Raises:
        UsageError: The recipe has no training section, a path is not set, or not even one image fits into memory.
        DataError: The dataset cannot be read, or no sample takes part.
    """
    required_training(recipe)
    task = task_of(recipe)
    device = device or torch.device("cpu")
    dataset = task.open_dataset(recipe, "train") if data is None else task.wrap(Items(data, "train_data"), recipe)
    training_set = task.training_set(dataset, recipe)
    training_set.augmentations = training_set.augmentations.followed_by(augment)
    recipe = with_batch_size(recipe, len(training_set), device, processes)
    return TrainingBatches(training_set, recipe, pin_memory=device.type == "cuda")


def _present(values: Iterator[T | None]) -> list[T] | None:
    """Return the values of all samples; None for a field that the task does not use."""
    present = [value for value in values if value is not None]
    return present or None
