"""Running a pose estimator on photographs: whom it looks at, and people of several photographs in one batch."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.batch import collate
from splitnest.data.categories import Categories, Category
from splitnest.data.person_boxes import NOBODY, PersonBoxes, read_person_boxes
from splitnest.data.person_crop import PreparedPeople
from splitnest.errors import DataError, UsageError
from splitnest.model import Model
from splitnest.results import Detections, PanopticSegmentation, Poses
from splitnest.results.interop import xywh_to_xyxy

PERSON_SCORE = 0.3
"""Of a detector's boxes, from which somebody is looked at (``bbox-thr`` of mmpose's top-down demo)."""

Boxes = str | Path | NDArray[np.floating] | Sequence[NDArray[np.floating]]
"""A JSON file, or left, top, width and height ``[P, 4]`` of the people in one image, or in each of several."""

_Key = TypeVar("_Key")


class Photograph(NamedTuple):
    """One of several: its place among them, what it is called, its pixels uint8 RGB ``[H, W, 3]``."""

    place: int
    name: str
    image: NDArray[np.uint8]


FindPeople = Callable[[Photograph], PersonBoxes]


def find_people(
    category: Category, names: Sequence[str], boxes_xywh: Boxes | None, detect: Callable[..., Any] | None
) -> FindPeople:
    """Return what tells the people in a photograph.

    Args:
        category: The class that people are of.
        names: Of all photographs.
        boxes_xywh: Where they are.
        detect: Or who finds them: ``predict`` of a detector that has the class.

    Raises:
        UsageError: Neither boxes nor a detector are given, or both, or boxes that do not go with the photographs.
        DataError: The file of boxes cannot be read, or has none of the photographs.
    """
    if not names:
        return lambda _: NOBODY
    if (boxes_xywh is None) == (detect is None):
        raise UsageError(
            "A pose estimator has to be told where people are: give their boxes (boxes_xywh, --boxes) or a detector "
            "(detector, --detector), not both. A photograph of one person is a box by itself: [[0, 0, width, height]]."
        )
    if detect is not None:
        return lambda photograph: _detected(detect(photograph.image)[0], category)
    if isinstance(boxes_xywh, str | Path):
        file = read_person_boxes(boxes_xywh, category)
        if not any(file.of(name) is not None for name in names):
            raise DataError(
                f"{boxes_xywh} has none of the {len(names)} photographs. They are told by their path, or by the number "
                f"that their name is: 000000000785.jpg is image_id 785. Check the file."
            )
        return lambda photograph: file.of(photograph.name) or NOBODY
    assert boxes_xywh is not None
    given = _given([boxes_xywh] if isinstance(boxes_xywh, np.ndarray) and boxes_xywh.ndim == 2 else boxes_xywh)
    if len(given) != len(names):
        raise UsageError(f"boxes_xywh is for {len(given)} images, but there are {len(names)}: give an array for each.")
    return lambda photograph: given[photograph.place]


def _detected(result: Detections | PanopticSegmentation, category: Category) -> PersonBoxes:
    found = result.detections if isinstance(result, PanopticSegmentation) else result
    assert found is not None
    boxes = found.boxes.astype(np.float64)
    kept = found.labels == found.categories.names.index(category.name)
    kept &= (found.scores >= PERSON_SCORE) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return PersonBoxes(boxes[kept], found.scores[kept].astype(np.float64))


def _given(boxes_xywh: Sequence[NDArray[np.floating]] | NDArray[np.floating]) -> list[PersonBoxes]:
    people = []
    for number, of_image in enumerate(boxes_xywh):
        boxes = np.asarray(of_image, np.float64)
        boxes = boxes.reshape(-1, 4) if boxes.size == 0 else boxes
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise UsageError(
                f"boxes_xywh[{number}] is of shape {list(boxes.shape)}: give [P, 4], left, top, width, height of each."
            )
        for row in np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)))[:1].tolist():
            raise UsageError(f"boxes_xywh[{number}][{row}] is {boxes[row].tolist()}, a box without an area.")
        people.append(PersonBoxes(xywh_to_xyxy(boxes), np.ones(len(boxes))))
    return people


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
