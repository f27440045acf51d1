"""Photographs in the order of their data set, read and prepared by worker processes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.person_crop import PreparedPeople, nobody, prepare_people
from splitnest.data.transforms import prepare
from splitnest.data.workers import leave_signals_to_the_parent, plain_worker_errors
from splitnest.errors import DataError
from splitnest.processes import rank, world_size
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, PoseInput, SemanticInput

T = TypeVar("T")


class Photographs(Protocol):
    """What a model is evaluated on: ``CocoDetection``, ``SemanticDataset`` or ``LabelledImages``."""

    def __len__(self) -> int:
        """Return the number of photographs."""

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read one photograph, uint8 RGB ``[H, W, 3]``."""

    def image_id(self, index: int) -> int:
        """Return the number of a photograph in results."""

    def name(self, index: int) -> str:
        """Return what a photograph is called."""


@dataclass(frozen=True)
class PreparedImage:
    """One photograph as the network takes it, or as it is.

    Attributes:
        image: float32 ``[3, h, w]``, neither padded nor batched; or uint8 RGB ``[H, W, 3]``.
        image_id, file_name: As the data set has them.
        original_size: (height, width) of the photograph.
    """

    image: Tensor
    image_id: int
    file_name: str
    original_size: tuple[int, int]


class EvaluationLoader(Generic[T]):
    """Iterates over lists of what was made of photographs; ``len`` counts the lists."""

    def __init__(self, batches: DataLoader[T | DataError]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[T]]:
        with plain_worker_errors():
            for items in self._batches:
                for item in items:
                    if isinstance(item, DataError):
                        raise item
                yield items


WholeInput = ClassificationInput | DetectionInput | SemanticInput
"""Of networks that look at one image a photograph."""


def evaluation_loader(
    dataset: Photographs, facts: WholeInput | None, batch_size: int = 1, workers: int = 0
) -> EvaluationLoader[PreparedImage]:
    """Return what yields the photographs of ``dataset`` in its order, in lists of ``batch_size``, the last one shorter.

    Of several processes each gets other photographs: the first of each ``world_size``, the second, and so on.

    Iterating raises a DataError where a photograph cannot be read, with the same message from a worker process.

    Args:
        dataset: The photographs.
        facts: ``input`` of the network's recipe; None leaves the photographs as they are.
        batch_size: Photographs in a list.
        workers: Processes that read and prepare; 0 does it in this one.
    """
    return _loader(_PrepareImage(dataset, facts), len(dataset), batch_size, workers)


def people_loader(
    dataset: PeopleDataset, facts: PoseInput, workers: int = 0
) -> EvaluationLoader[tuple[int, PreparedPeople]]:
    """Return what yields the number of each photograph of ``dataset`` and its people, in lists of one.

    Args:
        dataset, facts, workers: As of ``evaluation_loader``.
    """
    return _loader(_PreparePeople(dataset, facts), len(dataset), 1, workers)


@dataclass(frozen=True)
class _PrepareImage:
    dataset: Photographs
    facts: WholeInput | None

    def __call__(self, index: int) -> PreparedImage:
        image = self.dataset.read(index)
        tensor = torch.tensor(image) if self.facts is None else prepare(image, self.facts)
        size_hw = image.shape[0], image.shape[1]
        return PreparedImage(tensor, self.dataset.image_id(index), self.dataset.name(index), size_hw)


@dataclass(frozen=True)
class _PreparePeople:
    dataset: PeopleDataset
    facts: PoseInput

    def __call__(self, index: int) -> tuple[int, PreparedPeople]:
        image_id, people = self.dataset.image_id(index), self.dataset.people(index)
        if not len(people):  # there is nothing to be read
            return image_id, nobody(self.dataset.size_hw(index), self.facts)
        return image_id, prepare_people(self.dataset.read(index), people, self.facts)


def _loader(make: Callable[[int], T], count: int, batch_size: int, workers: int) -> EvaluationLoader[T]:
    # make is sent to worker processes, so it is no function inside another one.
    # collate_fn=list: the images differ in size; to pad them into one tensor is the affair of splitnest.batch.
    items, own = _Items(make, count), range(rank(), count, world_size())
    loader = DataLoader(
        items,
        batch_size,
        sampler=own,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=leave_signals_to_the_parent,
    )
    return EvaluationLoader(loader)


class _Items(Dataset[T | DataError]):
    """Gives a DataError instead of raising it, as torch wraps what a worker raises into its own traceback's text."""

    def __init__(self, make: Callable[[int], T], count: int) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> T | DataError:
        try:
            return self.make(index)
        except DataError as error:
            return error
