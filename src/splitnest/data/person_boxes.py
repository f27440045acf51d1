"""Whom a pose estimator looks at: boxes of people in a JSON file of a detector.

P people.
"""

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Category
from splitnest.data.coco_json import convert, whole
from splitnest.errors import DataError, first_few

LEAST_SIDE = 0.05
"""Pixels of a side of a box; a crop of less would be of nothing."""

FARTHEST = 100_000
"""Pixels from a photograph's corner to that of a box; positions of a crop are counted in 32 bits."""


@dataclass(frozen=True)
class PersonBoxes:
    """The boxes of the people of one photograph.

    Attributes:
        boxes: float64 ``[P, 4]``, xyxy in pixels, each with an area.
        scores: float64 ``[P]``.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, score: float) -> "PersonBoxes":
        """Return those of this score or more."""
        return self.where(self.scores >= score)

    def where(self, kept: NDArray[np.bool_]) -> "PersonBoxes":
        """Return some of them, bool ``[P]``."""
        return PersonBoxes(self.boxes[kept], self.scores[kept])


NOBODY = PersonBoxes(np.empty((0, 4)), np.empty(0))


def have_area(boxes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return of which boxes ``[P, 4]``, xyxy in pixels, something can be cut out, ``[P]``."""
    near = (np.abs(boxes) <= FARTHEST).all(axis=1)  # and finite
    return near & (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(axis=1)


@dataclass(frozen=True)
class PersonBoxFile:
    """The boxes of a whole file.

    Attributes:
        path: Of the file.
        by_number: Number of a photograph (COCO's ``image_id``) -> its people.
        by_name: Path of a photograph -> its people, in a file that names photographs.
        without_area: Boxes that were left out, as nothing could be cut out.
    """

    path: Path
    by_number: dict[int, PersonBoxes]
    by_name: dict[str, PersonBoxes]
    without_area: int

    def of(self, source: str) -> PersonBoxes | None:
        """Return the people of a photograph: see ``named``; or told by the number that its name is.

        Numbers are those of COCO's names: ``000000000785.jpg``, ``785.png``, ``COCO_val2014_000000000785.jpg``.

        Raises:
            DataError: As ``named``.
        """
        number = re.fullmatch(r"(?:COCO_\w+_)?(\d+)", PurePath(source).stem)
        named = self.named(source)
        return self.by_number.get(int(number[1])) if named is None and number else named

    def named(self, source: str) -> PersonBoxes | None:
        """Return the people of a photograph, told by its path or else its file name; None if the file has it not.

        Raises:
            DataError: Several photographs of the file have that name, and none this path.
        """
        found = self._of_path.get(os.path.abspath(source))
        alike = self._of_file_name.get(PurePath(source).name, [])
        if found is None and len(alike) > 1:
            raise DataError(
                f"{self.path} has {len(alike)} photographs called {PurePath(source).name}, none of which is {source}. "
                f"Give the paths that the boxes were found with."
            )
        return next(iter(alike), None) if found is None else found

    @cached_property
    def _of_path(self) -> dict[str, PersonBoxes]:
        return {os.path.abspath(path): people for path, people in self.by_name.items()}

    @cached_property
    def _of_file_name(self) -> dict[str, list[PersonBoxes]]:
        found: dict[str, list[PersonBoxes]] = {}
        for path, people in self.by_name.items():
            found.setdefault(PurePath(path).name, []).append(people)
        return found


def read_person_boxes(path: str | Path, category: Category) -> PersonBoxFile:
    """Read the boxes of one class.

    Args:
        path: A COCO detection results file, a list of ``image_id``, ``category_id``, ``bbox`` and ``score``; or what
            ``splitnest predict`` writes for a detector.
        category: Whose boxes; a results file knows its id, ours its name.

    Raises:
        DataError: The file cannot be read or is none of these, or a results file has other classes alone.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). It is damaged or something else: replace it.") from error
    if isinstance(content, list):
        photographs = _of_results(path, content, category)
    elif isinstance(content, dict) and "model" in content and isinstance(content.get("images"), list):
        photographs = {}
        for number, item in enumerate(content["images"]):
            name, found = convert(path, "images", number, item, lambda item: _our_results(item, category.name))
            photographs.setdefault(name, []).extend(found)
    else:
        raise DataError(
            f"{path} is neither a COCO detection results file (a list of image_id, category_id, bbox and score) nor "
            f"what splitnest predict writes for a detector. Give one of these."
        )
    people = {key: _gathered(rows) for key, rows in photographs.items()}
    return PersonBoxFile(
        path,
        {key: boxes for key, boxes in people.items() if isinstance(key, int)},
        {key: boxes for key, boxes in people.items() if isinstance(key, str)},
        sum(map(len, photographs.values())) - sum(map(len, people.values())),
    )


_Row = tuple[list[float], float]
"""A box, xywh in pixels, and its score."""


def _of_results(path: Path, content: list[Any], category: Category) -> dict[int | str, list[_Row]]:
    """Return the boxes of each photograph of a COCO results file, of some of which none are of the class."""
    rows: dict[int | str, list[_Row]] = {}
    strange: set[int] = set()
    for number, item in enumerate(content):
        image_id, category_id, row = convert(path, "detections", number, item, _result)
        of_photograph = rows.setdefault(image_id, [])
        if category_id == category.id:
            of_photograph.append(row)
        else:
            strange.add(category_id)
    if strange and not any(rows.values()):
        raise DataError(
            f"{path} has boxes of the categories {first_few(sorted(strange))} alone, none of {category.id}, which is "
            f"{category.name!r}. Give boxes of that."
        )
    return rows


def _gathered(rows: list[_Row]) -> PersonBoxes:
    """Return boxes with an area; corners are added up in float32, as in mmpose, where a bit of them can show."""
    boxes = np.array([box for box, _ in rows], np.float64).reshape(-1, 4)
    with np.errstate(over="ignore"):
        corners = boxes.astype(np.float32)
        corners[:, 2:] += corners[:, :2]
    people = PersonBoxes(corners.astype(np.float64), np.array([score for _, score in rows], np.float64))
    return people.where(have_area(people.boxes) & (boxes[:, 2:] > 0).all(axis=1))


def _result(item: dict[str, Any]) -> tuple[int, int, _Row]:
    row = _four(item, "bbox"), _number(item, "score")
    return whole(item, "image_id"), whole(item, "category_id"), row


def _our_results(item: dict[str, Any], name: str) -> tuple[str, list[_Row]]:
    found = []
    for row in item["result"]["detections"]:
        if row["name"] == name:
            x1, y1, x2, y2 = _four(row, "box")
            found.append(([x1, y1, x2 - x1, y2 - y1], _number(row, "score")))
    return str(item["file"]), found


def _four(item: dict[str, Any], key: str) -> list[float]:
    values = [float(value) for value in item[key]]
    if len(values) != 4 or not np.isfinite(values).all():
        raise ValueError(f"{key!r} is {item[key]}, not four numbers")
    return values


def _number(item: dict[str, Any], key: str) -> float:
    value = float(item[key])
    if not np.isfinite(value):
        raise ValueError(f"{key!r} is {item[key]}, not a number")
    return value
