"""Unreadable training images: each is reported once and replaced by another one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from torch.utils.data import Dataset

from splitnest.data.loading.sample import TrainingSample
from splitnest.errors import DataError, UserCodeError, tell


class CorruptImages:
    """Count of the unreadable images of a training set. Each is reported once, on standard error.

    Args:
        num_images: Number of samples of the training set.
        max_fraction: Fraction of them that may be unreadable.

    Attributes:
        allowed: Number of images that may be unreadable.
    """

    def __init__(self, num_images: int, max_fraction: float) -> None:
        self.allowed = int(max_fraction * num_images)
        self._num_images, self._max_fraction = num_images, max_fraction
        self._known: set[str] = set()

    def add(self, messages: Iterable[str]) -> None:
        """Report new messages.

        Args:
            messages: Error message of each unreadable image.

        Raises:
            DataError: More images are unreadable than allowed.
        """
        for message in messages:
            if message in self._known:
                continue
            self._known.add(message)
            if len(self._known) > self.allowed:
                raise DataError(
                    f"{message} {len(self._known)} of {self._num_images} images are unreadable, more than the "
                    f"{self.allowed} allowed (train.max_corrupt_fraction={self._max_fraction:g}). Run splitnest data "
                    f"check to list all of them."
                )
            tell(f"{message} It is replaced by another image.")


@dataclass(frozen=True)
class LoadedSample:
    """Sample of a step.

    Attributes:
        key: Epoch and index that the batch sampler chose.
        sample: Sample, or its replacement; None if none was readable among as many as may be unreadable.
        errors: Error messages of the unreadable images that were tried before.
        failure: Error of the user's code, which ends the training.
    """

    key: tuple[int, int]
    sample: TrainingSample | None
    errors: tuple[str, ...]
    failure: UserCodeError | None = None


class KeyedSamples(Protocol):
    """Samples by epoch and index."""

    def __getitem__(self, key: tuple[int, int]) -> TrainingSample:
        """Return the sample of an epoch and an index."""


class Replacing(Dataset[LoadedSample]):
    """Training set in which an unreadable sample is replaced by the next readable one, whatever the order of loading.

    Errors are returned: torch would wrap an exception of a worker process into the text of its traceback.

    Args:
        training_set: Samples.
        num_images: Number of samples.
        allowed: Number of unreadable images after which no further replacement is tried.
    """

    def __init__(self, training_set: KeyedSamples, num_images: int, allowed: int) -> None:
        self.training_set, self.num_images, self.allowed = training_set, num_images, allowed

    def __getitem__(self, key: tuple[int, int]) -> LoadedSample:
        epoch, first = key
        errors: dict[str, None] = {}  # ordered; persons of one image share its error
        for index in (*range(first, self.num_images), *range(first)):
            try:
                return LoadedSample(key, self.training_set[epoch, index], tuple(errors))
            except DataError as error:
                errors[str(error)] = None
            except UserCodeError as error:
                return LoadedSample(key, None, tuple(errors), error)
            if len(errors) > self.allowed:
                break
        return LoadedSample(key, None, tuple(errors))
