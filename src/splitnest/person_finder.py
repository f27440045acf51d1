"""Whom a pose estimator looks at in a photograph: given boxes, those of a file, or what a detector finds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Category
from splitnest.data.person_boxes import NOBODY, PersonBoxes, have_area, read_person_boxes
from splitnest.errors import DataError, UsageError
from splitnest.results import Detections, PanopticSegmentation
from splitnest.results.interop import xywh_to_xyxy

PERSON_SCORE = 0.3
"""Of a detector's boxes, from which somebody is looked at (``bbox-thr`` of mmpose's top-down demo)."""

Boxes = str | Path | NDArray[np.floating] | Sequence[NDArray[np.floating]]
"""A JSON file, or left, top, width and height ``[P, 4]`` of the people in one image, or in each of several."""


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
            "(detector, --detector), not both. A photograph of one person is a box by itself: [0, 0, width, height]."
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
    given = _given(boxes_xywh, len(names))
    if len(given) != len(names):
        raise UsageError(f"boxes_xywh is for {len(given)} images, but there are {len(names)}: give an array for each.")
    return lambda photograph: given[photograph.place]


def _detected(result: Detections | PanopticSegmentation, category: Category) -> PersonBoxes:
    found = result.detections if isinstance(result, PanopticSegmentation) else result
    assert found is not None
    boxes = found.boxes.astype(np.float64)
    kept = found.labels == found.categories.names.index(category.name)
    kept &= (found.scores >= PERSON_SCORE) & have_area(boxes)
    return PersonBoxes(boxes, found.scores.astype(np.float64)).where(kept)


def _given(boxes_xywh: Any, num_images: int) -> list[PersonBoxes]:
    """Return the boxes of each image; of one image alone they may come without a list around them."""
    try:
        of_images = list(boxes_xywh)
        are_rows = [np.shape(of_image) == (4,) for of_image in of_images]
        if num_images == 1 and (any(are_rows) or np.shape(boxes_xywh) == (0, 4)):
            of_images = [of_images]
        arrays = [np.asarray(of_image, np.float64) for of_image in of_images]
    except (TypeError, ValueError) as error:
        raise UsageError(f"boxes_xywh are no boxes ({error}): give an array [P, 4] for each image.") from error
    people = []
    for number, array in enumerate(arrays):
        boxes = array.reshape(-1, 4) if array.size == 0 else array
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise UsageError(
                f"boxes_xywh[{number}] is of shape {list(boxes.shape)}: give [P, 4], left, top, width, height of each."
            )
        corners = xywh_to_xyxy(boxes)
        for row in np.flatnonzero(~have_area(corners) | ~(boxes[:, 2:] > 0).all(axis=1))[:1].tolist():
            raise UsageError(
                f"boxes_xywh[{number}][{row}] is {boxes[row].tolist()}: without an area, or far from the image."
            )
        people.append(PersonBoxes(corners, np.ones(len(boxes))))
    return people
