"""Running a pose estimator: people of several photographs go through the network together."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

import torch

from splitnest.batch import collate
from splitnest.data.categories import Categories
from splitnest.data.person_crop import PreparedPeople
from splitnest.model import Model
from splitnest.results import Poses

_Key = TypeVar("_Key")


class _Waiting(NamedTuple, Generic[_Key]):
    """One that waits for the poses of its people."""

    key: _Key
    people: PreparedPeople
    found: list[Poses]


@torch.inference_mode()
def estimate(
    model: Model, photographs: Iterable[tuple[_Key, PreparedPeople]], batch_size: int, categories: Categories
) -> Iterator[tuple[_Key, Poses]]:
    """Yield the poses of the people of each photograph, in order.

    Args:
        model: In evaluation mode.
        photographs: Whatever tells a photograph from others, and its people. At most ``batch_size`` are read ahead.
        batch_size: People that go through the network together.
        categories: Of the poses.
    """
    waiting: deque[_Waiting[_Key]] = deque()
    queue: deque[tuple[_Waiting[_Key], int]] = deque()  # people whose turn it is not yet
    for key, people in photographs:
        photograph = _Waiting(key, people, [])
        waiting.append(photograph)
        queue += [(photograph, index) for index in range(len(people))]
        while len(queue) >= batch_size or (queue and len(waiting) >= batch_size):
            _run(model, [queue.popleft() for _ in range(min(batch_size, len(queue)))])
        yield from _finished(waiting, categories)
    while queue:
        _run(model, [queue.popleft() for _ in range(min(batch_size, len(queue)))])
    yield from _finished(waiting, categories)


def _run(model: Model, group: list[tuple[_Waiting[_Key], int]]) -> None:
    """Estimate the poses of some people, and put each to its photograph."""
    like = next(model.parameters())
    batch = collate(
        [photograph.people.crops[index] for photograph, index in group],
        [photograph.people.original_size for photograph, _ in group],
        people=[photograph.people.people[index] for photograph, index in group],
    )
    for (photograph, _), pose in zip(group, model.predict(batch.to(like.device, like.dtype)), strict=True):
        assert isinstance(pose, Poses)
        photograph.found.append(pose)


def _finished(waiting: deque[_Waiting[_Key]], categories: Categories) -> Iterator[tuple[_Key, Poses]]:
    while waiting and len(waiting[0].found) == len(waiting[0].people):
        photograph = waiting.popleft()
        yield photograph.key, Poses.of_people(photograph.found, photograph.people.original_size, categories)
