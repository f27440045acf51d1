"""Batched prediction of prepared images, whose network inputs may come from several images."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from splitnest.models.base import Model
from splitnest.models.build import build_categories
from splitnest.models.own import check_results
from splitnest.recipe import Recipe
from splitnest.structures import Result
from splitnest.structures.batch import Batch, collate
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks import Task, task_of

K = TypeVar("K")

MAX_WAITING_BATCHES = 4
"""Number of batches of images that may wait until images of one size fill a batch."""


@dataclass
class _Pending(Generic[K]):
    """Image that waits for the results of its network inputs."""

    key: K
    prepared: PreparedImage
    results: list[Result] = field(default_factory=list)


_Input = tuple[_Pending[K], int]
"""Image and index of one of its network inputs."""


@torch.inference_mode()
def predict_prepared(
    model: Model, recipe: Recipe, images: Iterable[tuple[K, PreparedImage]], batch_size: int
) -> Iterator[tuple[K, Result]]:
    """Yield the result of each image, in order.

    A batch has inputs of one padded size, so each is padded as it would be alone, and the results do not depend on
    ``batch_size``.

    Args:
        model: Model in evaluation mode.
        recipe: Recipe of the model.
        images: Key and preprocessed form of each image. Images wait until inputs of their size fill a batch: at most
            ``batch_size`` images where all inputs have one size, ``MAX_WAITING_BATCHES`` times as many otherwise.
        batch_size: Maximum number of network inputs of a batch.
    """
    task, categories = task_of(recipe), build_categories(recipe)
    divisor = task.divisor(recipe)
    pending: deque[_Pending[K]] = deque()
    queues: defaultdict[tuple[int, int], deque[_Input[K]]] = defaultdict(deque)

    def run(queue: deque[_Input[K]]) -> None:
        _predict(model, task, recipe, [queue.popleft() for _ in range(min(batch_size, len(queue)))])

    def run_oldest() -> None:
        first = pending[0].prepared.inputs[len(pending[0].results)]
        run(queues[padded_size(first, divisor)])

    def results() -> Iterator[tuple[K, Result]]:
        while pending and len(pending[0].results) == len(pending[0].prepared):
            image = pending.popleft()
            yield image.key, task.combine(image.results, image.prepared, categories)

    limit = batch_size if task.has_fixed_input_size or batch_size == 1 else MAX_WAITING_BATCHES * batch_size
    for key, prepared in images:
        image = _Pending(key, prepared)
        pending.append(image)
        for index in range(len(prepared)):
            queue = queues[padded_size(prepared.inputs[index], divisor)]
            queue.append((image, index))
            if len(queue) == batch_size:
                run(queue)
        yield from results()
        while len(pending) >= limit:
            run_oldest()
            yield from results()
    while pending:
        run_oldest()
        yield from results()


def make_batch(task: Task[Any, Any], recipe: Recipe, images: Iterable[PreparedImage]) -> Batch:
    """Return the batch of all network inputs of some images."""
    return _collate(task, recipe, [(_Pending(None, image), index) for image in images for index in range(len(image))])


def _predict(model: Model, task: Task[Any, Any], recipe: Recipe, inputs: list[_Input[K]]) -> None:
    like = next(model.parameters())
    batch = _collate(task, recipe, inputs).to(like.device, like.dtype)
    results = check_results(model.predict(batch), len(inputs), model)
    for (image, _), result in zip(inputs, results, strict=True):
        image.results.append(result)


def _collate(task: Task[Any, Any], recipe: Recipe, inputs: list[_Input[Any]]) -> Batch:
    people = [image.prepared.people[index] for image, index in inputs if image.prepared.people is not None]
    return collate(
        [_tensor(each) for each in inputs],
        [image.prepared.original_size for image, _ in inputs],
        task.divisor(recipe),
        people=people or None,
    )


def padded_size(network_input: Tensor, divisor: int) -> tuple[int, int]:
    """Return the height and width of a network input ``[3, h, w]``, padded to multiples of ``divisor``."""
    return -(-network_input.shape[-2] // divisor) * divisor, -(-network_input.shape[-1] // divisor) * divisor


def _tensor(network_input: _Input[Any]) -> Tensor:
    image, index = network_input
    return image.prepared.inputs[index]
