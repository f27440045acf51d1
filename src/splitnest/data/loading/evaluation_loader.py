"""Evaluation data loader: images in the order of their dataset, read and prepared by worker processes."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torch import Generator
from torch.utils.data import DataLoader, Dataset

from splitnest.data.loading.workers import check_main_is_guarded, initialize_worker, plain_worker_errors
from splitnest.distributed import rank, world_size
from splitnest.errors import DataError

T = TypeVar("T")


class EvaluationLoader(Generic[T]):
    """Results of a function for the indices of a dataset, in order.

    In a process group each process gets every ``world_size``-th index. Worker processes are started by the first
    iteration and kept for the next ones, until the loader is no longer used.

    Args:
        prepare: Function of an index; picklable, as worker processes call it.
        count: Number of indices.
        workers: Number of worker processes; 0 calls it in this process.
    """

    def __init__(self, prepare: Callable[[int], T], count: int, workers: int = 0) -> None:
        check_main_is_guarded(workers)
        self._items = DataLoader(
            _Items(prepare, count),
            batch_size=None,
            sampler=range(rank(), count, world_size()),
            num_workers=workers,
            collate_fn=_unchanged,
            worker_init_fn=initialize_worker,
            persistent_workers=workers > 0,
            generator=Generator(),  # otherwise each iteration would draw a seed from torch's generator
        )

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        """Yield the results.

        Raises:
            DataError: The function raised one, in this or in a worker process, or a worker process died.
        """
        with plain_worker_errors():
            for item in self._items:
                if isinstance(item, DataError):
                    raise item
                yield item


def _unchanged(item: T) -> T:
    """Return an item as it is; torch's default would convert arrays in it."""
    return item


class _Items(Dataset[T | DataError]):
    """Results by index. A DataError is returned, as torch would wrap it into the text of its traceback."""

    def __init__(self, prepare: Callable[[int], T], count: int) -> None:
        self.prepare, self.count = prepare, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> T | DataError:
        try:
            return self.prepare(index)
        except DataError as error:
            return error
