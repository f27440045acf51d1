"""Files of boxes of people, and whom a pose estimator looks at."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitnest.data.categories import from_names
from splitnest.data.person_boxes import NOBODY, read_person_boxes
from splitnest.errors import DataError, UsageError
from splitnest.person_finder import PERSON_SCORE, Photograph, find_people
from splitnest.results import Detections

(PERSON,) = from_names(["person"])
PIXELS = np.zeros((20, 30, 3), np.uint8)


def row(image_id: int, x: float = 1, score: float = 0.9, **changes: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "bbox": [x, 2, 3, 4], "score": score, **changes}


def write(folder: Path, content: Any) -> Path:
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def test_nobody(tmp_path: Path) -> None:
    file = read_person_boxes(write(tmp_path, []), PERSON)
    assert (file.by_number, file.by_name, file.without_area) == ({}, {}, 0)
    assert file.of("1.jpg") is None
    assert len(NOBODY) == len(NOBODY.above(0.5)) == 0


def test_results_of_coco(tmp_path: Path) -> None:
    content = [row(7), row(7, 5, 0.2), row(8, category_id=3), row(9, bbox=[1, 2, 0, 4])]
    file = read_person_boxes(write(tmp_path, content), PERSON)
    assert sorted(file.by_number) == [7, 8, 9]
    assert file.by_number[7].boxes.tolist() == [[1, 2, 4, 6], [5, 2, 8, 6]]
    assert file.by_number[7].above(0.5).scores.tolist() == [0.9]
    assert [len(file.by_number[8]), len(file.by_number[9]), file.without_area] == [0, 0, 1]
    for source in ("000000000007.jpg", "/some/where/7.png", "COCO_val2014_000000000007.jpg"):
        assert file.of(source) is file.by_number[7]
    for source in ("seven.jpg", "street_7.jpg", "IMG_0007.JPG", "7b.jpg"):
        assert file.of(source) is None
    with pytest.raises(DataError, match="has boxes of the categories 3, 4 alone, none of 1, which is 'person'"):
        read_person_boxes(write(tmp_path, [row(7, category_id=4), row(8, category_id=3)]), PERSON)


@pytest.mark.parametrize(
    "bbox",
    [
        [1000, 10, 1e-6, 1e-6],
        [10, 10, 1e-30, 9],
        [1e9, 1e9, 10, 10],
        [1e30, 0, 1, 1],
        [0, 0, 1e39, 1e39],
        [5, 5, -3, 4],
    ],
)
def test_boxes_that_nothing_can_be_cut_out_of(tmp_path: Path, bbox: list[float]) -> None:
    file = read_person_boxes(write(tmp_path, [row(7, bbox=bbox), row(7)]), PERSON)
    assert (len(file.by_number[7]), file.without_area) == (1, 1)
    with pytest.raises(UsageError, match="without an area, or far from the image"):
        find_people(PERSON, ["a"], [np.array([bbox])], None)


def test_results_of_splitnest(tmp_path: Path) -> None:
    found = Detections(
        boxes=np.array([[1, 2, 4, 6], [0, 0, 5, 5]], np.float32),
        scores=np.array([0.5, 0.75], np.float32),
        labels=np.array([1, 0]),
        image_size=(20, 30),
        categories=from_names(["dog", "person"]),
    )
    images = [
        {"file": "in/a.jpg", "picture": "a.jpg", "result": found.to_dict()},
        {"file": "in/b.jpg", "result": {"detections": []}},
    ]
    file = read_person_boxes(write(tmp_path, {"model": "m", "images": images, "failed": []}), PERSON)
    people = file.of("in/a.jpg")
    assert people is not None
    assert (people.boxes.tolist(), people.scores.tolist()) == ([[1, 2, 4, 6]], [0.5])
    assert file.of("elsewhere/a.jpg") is people
    assert file.of("b.jpg") is file.by_name["in/b.jpg"]
    assert len(file.by_name["in/b.jpg"]) == 0
    images[1]["file"] = "other/a.jpg"
    file = read_person_boxes(write(tmp_path, {"model": "m", "images": images, "failed": []}), PERSON)
    assert len(file.of("in/a.jpg") or []) == len(file.of(str(Path("in/a.jpg").absolute())) or []) == 1
    with pytest.raises(DataError, match=r"has 2 photographs called a\.jpg, none of which is elsewhere/a\.jpg"):
        file.of("elsewhere/a.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "neither a COCO detection results file"),
        ("text", "neither"),
        ([3], r"detections\[0\] is no object"),
        ([{"image_id": 1}], r"detections\[0\] \(image_id 1\) has no 'bbox'"),
        ([row(1), row(2, bbox=[1, 2, 3])], r"detections\[1\] \(image_id 2\): 'bbox' is \[1, 2, 3\], not four numbers"),
        ([row(1, bbox="text")], "could not convert"),
        ([row(-1)], "not a whole number"),
        ({"model": "m", "images": [{"file": "a.jpg"}]}, r"images\[0\] has no 'result'"),
    ],
)
def test_wrong_files(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_person_boxes(write(tmp_path, content), PERSON)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_person_boxes(tmp_path / "absent.json", PERSON)
    (tmp_path / "broken.json").write_text("[")
    with pytest.raises(DataError, match="not valid JSON"):
        read_person_boxes(tmp_path / "broken.json", PERSON)
    path = tmp_path / "nan.json"
    path.write_text(json.dumps([row(1, score=float("nan"))]))
    with pytest.raises(DataError, match="'score' is nan, not a number"):
        read_person_boxes(path, PERSON)


def test_given_boxes_keep_their_order() -> None:
    boxes = [np.array([[5, 5, 2, 2], [1, 1, 3, 3]]), np.zeros((0, 4)), []]
    find = find_people(PERSON, ["a", "b", "c"], boxes, None)
    found = [find(Photograph(place, "x", PIXELS)) for place in range(3)]
    assert found[0].boxes.tolist() == [[5, 5, 7, 7], [1, 1, 4, 4]]
    assert found[0].scores.tolist() == [1, 1]
    assert [len(people) for people in found] == [2, 0, 0]
    for alone in (boxes[0], boxes[0].tolist(), boxes[0].astype(int), [boxes[0]], [boxes[0].tolist()]):
        assert len(find_people(PERSON, ["a"], alone, None)(Photograph(0, "a", PIXELS))) == 2
    for nobody in (np.zeros((0, 4)), [np.zeros((0, 4))], [[]]):
        assert len(find_people(PERSON, ["a"], nobody, None)(Photograph(0, "a", PIXELS))) == 0


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (None, "has to be told where people are"),
        ([np.ones((1, 4))] * 2, "boxes_xywh is for 2 images, but there are 1"),
        ([np.ones((1, 5))], r"boxes_xywh\[0\] is of shape \[1, 5\]"),
        ([np.ones(3)], r"boxes_xywh\[0\] is of shape \[3\]"),
        ([np.array([[0, 0, 1, 1], [1, 1, 0, 5]])], r"boxes_xywh\[0\]\[1\] is \[1.0, 1.0, 0.0, 5.0\]: without"),
        ([np.array([[0, 0, np.inf, 1]])], "without an area"),
        ([["a"]], "are no boxes"),
        ([[[1, 2, 3, 4], [1, 2]]], "are no boxes"),
        (7, "are no boxes"),
        ({"a": 1}, "are no boxes"),
    ],
)
def test_wrong_boxes(boxes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_people(PERSON, ["a"], boxes, None)


def test_boxes_and_a_detector() -> None:
    with pytest.raises(UsageError, match="not both"):
        find_people(PERSON, ["a"], [np.ones((1, 4))], lambda image: [])
    assert find_people(PERSON, [], None, None)(Photograph(0, "a", PIXELS)) is NOBODY


def test_a_file_of_other_photographs(tmp_path: Path) -> None:
    path = write(tmp_path, [row(7)])
    with pytest.raises(DataError, match="has none of the 2 photographs"):
        find_people(PERSON, ["1.jpg", "x.jpg"], path, None)
    find = find_people(PERSON, ["1.jpg", "7.jpg"], path, None)
    assert [len(find(Photograph(0, name, PIXELS))) for name in ("1.jpg", "7.jpg")] == [0, 1]


def test_detector() -> None:
    found = Detections(
        boxes=np.array([[1, 2, 4, 6], [0, 0, 5, 5], [0, 0, 9, 9], [3, 3, 3, 9]], np.float32),
        scores=np.array([0.8, 0.9, PERSON_SCORE - 0.01, 0.9], np.float32),
        labels=np.array([1, 0, 1, 1]),
        image_size=(20, 30),
        categories=from_names(["dog", "person"]),
    )
    find = find_people(PERSON, ["a"], None, lambda image: [found])
    assert find(Photograph(0, "a", PIXELS)).boxes.tolist() == [[1, 2, 4, 6]]
