"""Photographs that cannot be used in training: each is reported and replaced by another one."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from torch.utils.data import Dataset

from splitnest.errors import DataError

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class Keyed(Protocol[S_co]):
    """Samples by epoch and number."""

    def __getitem__(self, key: tuple[int, int]) -> S_co:
        """Return the sample of an epoch and a number."""


class CorruptImages:
    """Reports on standard error, each once, the photographs of a training set that cannot be used.

    Args:
        num_images: Samples of the training set.
        share: Share of them that may be corrupt.

    Attributes:
        allowed: Photographs that may be corrupt.
    """

    def __init__(self, num_images: int, share: float) -> None:
        self.allowed = int(share * num_images)
        self._num_images, self._share = num_images, share
        self._known: set[str] = set()

    def add(self, messages: Iterable[str]) -> None:
        """Report what was not reported yet.

        Args:
            messages: What is wrong with a photograph, and with which.

        Raises:
            DataError: There are more than are allowed.
        """
        for message in messages:
            if message in self._known:
                continue
            self._known.add(message)
            if len(self._known) > self.allowed:
                raise DataError(
                    f"{message} {len(self._known)} of {self._num_images} images cannot be used; at most {self.allowed} "
                    f"may be (train.corrupt_share={self._share:g}). splitnest data check names them all."
                )
            print(f"{message} Another image takes its place.", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Usable(Generic[S]):
    """A sample that can be used.

    Attributes:
        sample: Itself or its replacement; None where none was found among as many as may be corrupt.
        errors: What is wrong with those before it.
    """

    sample: S | None
    errors: tuple[str, ...]


class Replacing(Dataset[Usable[S]], Generic[S]):
    """Gives in place of a sample that cannot be used the next one that can: a function of epoch and number alone.

    A DataError is given as text, as torch wraps what a worker raises into its own traceback's text.

    Args:
        training_set: Samples.
        num_images: How many there are.
        allowed: Photographs that may be corrupt: after more, no other one is looked for.
    """

    def __init__(self, training_set: Keyed[S], num_images: int, allowed: int) -> None:
        self.training_set, self.num_images, self.allowed = training_set, num_images, allowed

    def __getitem__(self, key: tuple[int, int]) -> Usable[S]:
        epoch, first = key
        errors: dict[str, None] = {}  # in order; several people share a photograph, and so its error
        for index in (*range(first, self.num_images), *range(first)):
            try:
                return Usable(self.training_set[epoch, index], tuple(errors))
            except DataError as error:
                errors[str(error)] = None
            if len(errors) > self.allowed:
                break
        return Usable(None, tuple(errors))
