"""Person boxes for top-down pose estimation: reader of a detector's JSON results.

Shapes: P persons of one image.
"""

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.coco_json import convert, integer
from splitnest.errors import DataError, cannot_read, first_few, printable
from splitnest.files import open_text
from splitnest.structures.categories import Categories

MIN_SIDE = 0.05
"""Minimum side of a person box in pixels."""

MAX_COORDINATE = 100_000
"""Maximum absolute coordinate of a person box in pixels; the warp computes positions in 32 bits."""


@dataclass(frozen=True)
class PersonBoxes:
    """Person boxes of one image.

    Attributes:
        boxes: float64 ``[P, 4]``, xyxy in pixels, each with area.
        scores: float64 ``[P]``.
        labels: int64 ``[P]``, class index of each person; by default the first class.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64] = None  # type: ignore[assignment]  # zeros, of the length of the boxes

    def __post_init__(self) -> None:
        if self.labels is None:
            object.__setattr__(self, "labels", np.zeros(len(self.boxes), np.int64))

    @classmethod
    def whole_image(cls, size_hw: tuple[int, int]) -> Self:
        """Return the box of one person that fills an image of this height and width."""
        height, width = size_hw
        return cls(np.array([[0.0, 0.0, width, height]]), np.ones(1))

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, score: float) -> "PersonBoxes":
        """Return the boxes with at least this score."""
        return self.where(self.scores >= score)

    def where(self, kept: NDArray[np.bool_]) -> "PersonBoxes":
        """Return the boxes selected by a mask, bool ``[P]``."""
        return PersonBoxes(self.boxes[kept], self.scores[kept], self.labels[kept])


NO_BOXES = PersonBoxes(np.empty((0, 4)), np.empty(0))
"""Boxes of an image without persons."""


def is_croppable(boxes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return whether each box ``[P, 4]``, xyxy in pixels, can be cropped: finite, near the image, and with area."""
    near = (np.abs(boxes) <= MAX_COORDINATE).all(axis=1)
    return near & (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(axis=1)


@dataclass(frozen=True)
class PersonBoxFile:
    """Person boxes of a file.

    Attributes:
        path: Path of the file.
        by_id: Image id -> boxes, for COCO detection results.
        by_path: Path of an image -> boxes, for the results of ``splitnest predict``.
        num_dropped: Number of boxes that cannot be cropped and were dropped.
    """

    path: Path
    by_id: dict[int, PersonBoxes]
    by_path: dict[str, PersonBoxes]
    num_dropped: int

    def look_up(self, source: str) -> PersonBoxes | None:
        """Return the boxes of an image by path, file name, or the image id in a COCO file name.

        COCO file names are ``000000000785.jpg``, ``785.png`` and ``COCO_val2014_000000000785.jpg``.

        Raises:
            DataError: Same conditions as ``by_path_or_name``.
        """
        number = re.fullmatch(r"(?:COCO_\w+_)?(\d+)", PurePath(source).stem)
        boxes = self.by_path_or_name(source)
        return self.by_id.get(int(number[1])) if boxes is None and number else boxes

    def by_path_or_name(self, source: str) -> PersonBoxes | None:
        """Return the boxes of an image by its path or else its file name; None for an unknown image.

        Raises:
            DataError: Several images of the file have the name, and none has the path.
        """
        source = printable(source)  # as splitnest predict writes it
        boxes = self._by_absolute_path.get(os.path.abspath(source))
        candidates = self._by_name.get(PurePath(source).name, [])
        if boxes is None and len(candidates) > 1:
            raise DataError(
                f"{self.path} has {len(candidates)} images called {PurePath(source).name}, but not {source}. Give the "
                f"paths that the detector was run with."
            )
        return next(iter(candidates), None) if boxes is None else boxes

    @cached_property
    def _by_absolute_path(self) -> dict[str, PersonBoxes]:
        return {os.path.abspath(path): boxes for path, boxes in self.by_path.items()}

    @cached_property
    def _by_name(self) -> dict[str, list[PersonBoxes]]:
        by_name: dict[str, list[PersonBoxes]] = {}
        for path, boxes in self.by_path.items():
            by_name.setdefault(PurePath(path).name, []).append(boxes)
        return by_name


def read_person_boxes(path: str | Path, categories: Categories) -> PersonBoxFile:
    """Read the boxes of some classes.

    Args:
        path: COCO detection results, a list of ``image_id``, ``category_id``, ``bbox`` and ``score``; or the results
            that ``splitnest predict`` writes for a detector.
        categories: Classes of the boxes: by id in COCO results, by name in those of ``splitnest predict``.

    Raises:
        DataError: The file cannot be read or is neither of the two, or COCO results have only other classes.
    """
    path = Path(path)
    try:
        with open_text(path) as file:
            content = json.load(file)
    except OSError as error:
        raise DataError(cannot_read(path, error, "a file of person boxes")) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). Replace the file.") from error
    rows_of: dict[Any, list[_Row]]
    if isinstance(content, list):
        rows_of = _read_coco_results(path, content, categories)
    elif isinstance(content, dict) and "model" in content and isinstance(content.get("images"), list):
        rows_of = {}
        for number, item in enumerate(content["images"]):
            name, rows = convert(path, "images", number, item, lambda item: _own_results(item, categories.names))
            rows_of.setdefault(name, []).extend(rows)
    else:
        raise DataError(
            f"{path} is neither COCO detection results (a list of image_id, category_id, bbox and score) nor the "
            f"results of splitnest predict for a detector. Give one of these."
        )
    boxes_of = {key: _to_boxes(rows) for key, rows in rows_of.items()}
    return PersonBoxFile(
        path,
        {key: boxes for key, boxes in boxes_of.items() if isinstance(key, int)},
        {key: boxes for key, boxes in boxes_of.items() if isinstance(key, str)},
        sum(map(len, rows_of.values())) - sum(map(len, boxes_of.values())),
    )


_Row = tuple[list[float], float, int]
"""Box, xywh in pixels, its score, and its class index."""


def _read_coco_results(path: Path, content: list[Any], categories: Categories) -> dict[int, list[_Row]]:
    """Return the boxes of each image of COCO detection results; the list of an image may be empty."""
    rows_of: dict[int, list[_Row]] = {}
    other_ids: set[int] = set()
    for number, item in enumerate(content):
        image_id, category_id, box, score = convert(path, "detections", number, item, _result)
        rows = rows_of.setdefault(image_id, [])
        if category_id in categories.ids:
            rows.append((box, score, categories.ids.index(category_id)))
        else:
            other_ids.add(category_id)
    if other_ids and not any(rows_of.values()):
        wanted = first_few([f"{category.id}, which is {category.name!r}" for category in categories])
        raise DataError(
            f"{path} has only boxes of the categories {first_few(sorted(other_ids))}, none of {wanted}. Give results "
            f"with boxes of that class."
        )
    return rows_of


def _to_boxes(rows: list[_Row]) -> PersonBoxes:
    """Return the croppable boxes. Corners are computed in float32, as in mmpose, where their last bit can matter."""
    boxes = np.array([box for box, _, _ in rows], np.float64).reshape(-1, 4)
    with np.errstate(over="ignore"):
        corners = boxes.astype(np.float32)
        corners[:, 2:] += corners[:, :2]
    people = PersonBoxes(
        corners.astype(np.float64),
        np.array([score for _, score, _ in rows], np.float64),
        np.array([label for _, _, label in rows], np.int64),
    )
    return people.where(is_croppable(people.boxes) & (boxes[:, 2:] > 0).all(axis=1))


def _result(item: dict[str, Any]) -> tuple[int, int, list[float], float]:
    box, score = _four_numbers(item, "bbox"), _number(item, "score")
    return integer(item, "image_id"), integer(item, "category_id"), box, score


def _own_results(item: dict[str, Any], class_names: tuple[str, ...]) -> tuple[str, list[_Row]]:
    rows = []
    for detection in item["result"]["detections"]:
        if detection["name"] in class_names:
            x1, y1, x2, y2 = _four_numbers(detection, "box")
            label = class_names.index(detection["name"])
            rows.append(([x1, y1, x2 - x1, y2 - y1], _number(detection, "score"), label))
    return str(item["file"]), rows


def _four_numbers(item: dict[str, Any], key: str) -> list[float]:
    values = [float(value) for value in item[key]]
    if len(values) != 4 or not np.isfinite(values).all():
        raise ValueError(f"{key!r} is {item[key]}, not four numbers")
    return values


def _number(item: dict[str, Any], key: str) -> float:
    value = float(item[key])
    if not np.isfinite(value):
        raise ValueError(f"{key!r} is {item[key]}, not a finite number")
    return value
