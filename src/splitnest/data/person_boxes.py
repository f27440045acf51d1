"""Whom a pose estimator looks at: boxes of people in a JSON file of a detector.

P people.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Category
from splitnest.data.coco_json import convert, whole
from splitnest.errors import DataError
from splitnest.results.interop import xywh_to_xyxy


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
        kept = self.scores >= score
        return PersonBoxes(self.boxes[kept], self.scores[kept])


NOBODY = PersonBoxes(np.empty((0, 4)), np.empty(0))


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
        """Return the people of a photograph, told by its path or file name, or by the number that its name is.

        None if the file does not have it.
        """
        if source in self.by_name:
            return self.by_name[source]
        name = PurePath(source).name
        for path, people in self.by_name.items():
            if PurePath(path).name == name:
                return people
        digits = PurePath(name).stem.rpartition("_")[2]  # COCO_val2014_000000000785
        return self.by_number.get(int(digits)) if digits.isdecimal() else None


def read_person_boxes(path: str | Path, category: Category) -> PersonBoxFile:
    """Read the boxes of one class.

    Args:
        path: A COCO detection results file, a list of ``image_id``, ``category_id``, ``bbox`` and ``score``; or what
            ``splitnest predict`` writes for a detector.
        category: Whose boxes; a results file knows its id, ours its name.

    Raises:
        DataError: The file cannot be read or is none of these.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). It is damaged or something else: replace it.") from error
    rows: dict[int | str, list[_Row]] = {}
    for key, found in _photographs(path, content, category):
        rows.setdefault(key, []).extend(found)
    people = {key: _gathered(of_photograph) for key, of_photograph in rows.items()}
    return PersonBoxFile(
        path,
        {key: boxes for key, boxes in people.items() if isinstance(key, int)},
        {key: boxes for key, boxes in people.items() if isinstance(key, str)},
        sum(map(len, rows.values())) - sum(map(len, people.values())),
    )


_Row = tuple[list[float], float]
"""A box, xywh in pixels, and its score."""


def _photographs(path: Path, content: Any, category: Category) -> Iterator[tuple[int | str, list[_Row]]]:
    """Yield what a file says of each photograph, by its number or its path; of one several times, perhaps."""
    if isinstance(content, list):
        for number, item in enumerate(content):
            image_id, category_id, row = convert(path, "detections", number, item, _result)
            yield image_id, [row] if category_id == category.id else []
    elif isinstance(content, dict) and "model" in content and isinstance(content.get("images"), list):
        for number, item in enumerate(content["images"]):
            yield convert(path, "images", number, item, lambda item: _our_results(item, category.name))
    else:
        raise DataError(
            f"{path} is neither a COCO detection results file (a list of image_id, category_id, bbox and score) nor "
            f"what splitnest predict writes for a detector. Give one of these."
        )


def _gathered(rows: list[_Row]) -> PersonBoxes:
    with_area = [(box, score) for box, score in rows if box[2] > 0 and box[3] > 0]
    boxes = np.array([box for box, _ in with_area], np.float64).reshape(-1, 4)
    return PersonBoxes(xywh_to_xyxy(boxes), np.array([score for _, score in with_area], np.float64))


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
