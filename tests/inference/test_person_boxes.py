"""Person boxes: files of boxes, given arrays, detectors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitnest.data.pose.person_boxes import NO_BOXES, read_person_boxes
from splitnest.errors import DataError, UsageError
from splitnest.inference.loaded_images import LoadedImage
from splitnest.inference.person_boxes import MIN_DETECTOR_SCORE, person_finder
from splitnest.structures import Detections
from splitnest.structures.categories import from_names

PERSON = from_names(["person"])
PIXELS = np.zeros((20, 30, 3), np.uint8)


def row(image_id: int, x: float = 1, score: float = 0.9, **changes: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "bbox": [x, 2, 3, 4], "score": score, **changes}


def write(folder: Path, content: Any) -> Path:
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def test_no_boxes(tmp_path: Path) -> None:
    file = read_person_boxes(write(tmp_path, []), PERSON)
    assert (file.by_id, file.by_path, file.num_dropped) == ({}, {}, 0)
    assert file.look_up("1.jpg") is None
    assert len(NO_BOXES) == len(NO_BOXES.above(0.5)) == 0


def test_coco_results(tmp_path: Path) -> None:
    content = [row(7), row(7, 5, 0.2), row(8, category_id=3), row(9, bbox=[1, 2, 0, 4])]
    file = read_person_boxes(write(tmp_path, content), PERSON)
    assert sorted(file.by_id) == [7, 8, 9]
    assert file.by_id[7].boxes.tolist() == [[1, 2, 4, 6], [5, 2, 8, 6]]
    assert file.by_id[7].above(0.5).scores.tolist() == [0.9]
    assert [len(file.by_id[8]), len(file.by_id[9]), file.num_dropped] == [0, 0, 1]
    for source in ("000000000007.jpg", "/some/where/7.png", "COCO_val2014_000000000007.jpg"):
        assert file.look_up(source) is file.by_id[7]
    for source in ("seven.jpg", "street_7.jpg", "IMG_0007.JPG", "7b.jpg"):
        assert file.look_up(source) is None
    with pytest.raises(DataError, match="has only boxes of the categories 3, 4, none of 1, which is 'person'"):
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
def test_boxes_that_cannot_be_cropped_are_dropped(tmp_path: Path, bbox: list[float]) -> None:
    file = read_person_boxes(write(tmp_path, [row(7, bbox=bbox), row(7)]), PERSON)
    assert (len(file.by_id[7]), file.num_dropped) == (1, 1)
    with pytest.raises(UsageError, match="has no area or lies far outside the image"):
        person_finder(PERSON, ["a"], [np.array([bbox])], None)


def test_results_of_splitnest_predict(tmp_path: Path) -> None:
    detections = Detections(
        boxes=np.array([[1, 2, 4, 6], [0, 0, 5, 5]], np.float32),
        scores=np.array([0.5, 0.75], np.float32),
        labels=np.array([1, 0]),
        image_size=(20, 30),
        categories=from_names(["dog", "person"]),
    )
    images = [
        {"file": "in/a.jpg", "picture": "a.jpg", "result": detections.to_dict()},
        {"file": "in/b.jpg", "result": {"detections": []}},
    ]
    file = read_person_boxes(write(tmp_path, {"model": "m", "images": images, "failed": []}), PERSON)
    people = file.look_up("in/a.jpg")
    assert people is not None
    assert (people.boxes.tolist(), people.scores.tolist()) == ([[1, 2, 4, 6]], [0.5])
    assert file.look_up("elsewhere/a.jpg") is people
    assert file.look_up("b.jpg") is file.by_path["in/b.jpg"]
    assert len(file.by_path["in/b.jpg"]) == 0
    images[1]["file"] = "other/a.jpg"
    file = read_person_boxes(write(tmp_path, {"model": "m", "images": images, "failed": []}), PERSON)
    assert len(file.look_up("in/a.jpg") or []) == len(file.look_up(str(Path("in/a.jpg").absolute())) or []) == 1
    with pytest.raises(DataError, match=r"has 2 images called a\.jpg, but not elsewhere/a\.jpg"):
        file.look_up("elsewhere/a.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "neither COCO detection results"),
        ("text", "neither COCO detection results"),
        ([3], r"detections\[0\] is not a.* object"),
        ([{"image_id": 1}], r"detections\[0\] \(image_id 1\) has no key 'bbox'"),
        ([row(1), row(2, bbox=[1, 2, 3])], r"detections\[1\] \(image_id 2\): 'bbox' is \[1, 2, 3\], not four numbers"),
        ([row(1, bbox="text")], "could not convert"),
        ([row(-1)], "'image_id' is -1, not a"),
        ({"model": "m", "images": [{"file": "a.jpg"}]}, r"images\[0\] has no key 'result'"),
    ],
)
def test_invalid_file_is_an_error(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_person_boxes(write(tmp_path, content), PERSON)


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_person_boxes(tmp_path / "absent.json", PERSON)
    (tmp_path / "broken.json").write_text("[")
    with pytest.raises(DataError, match="not valid JSON"):
        read_person_boxes(tmp_path / "broken.json", PERSON)
    path = tmp_path / "nan.json"
    path.write_text(json.dumps([row(1, score=float("nan"))]))
    with pytest.raises(DataError, match="'score' is nan, not a finite number"):
        read_person_boxes(path, PERSON)


def test_given_boxes_keep_their_order() -> None:
    boxes = [np.array([[5, 5, 2, 2], [1, 1, 3, 3]]), np.zeros((0, 4)), []]
    find = person_finder(PERSON, ["a", "b", "c"], boxes, None)
    of_images = [find(LoadedImage(index, "x", PIXELS)) for index in range(3)]
    assert of_images[0].boxes.tolist() == [[5, 5, 7, 7], [1, 1, 4, 4]]
    assert of_images[0].scores.tolist() == [1, 1]
    assert [len(people) for people in of_images] == [2, 0, 0]
    for of_one in (boxes[0], boxes[0].tolist(), boxes[0].astype(int), [boxes[0]], [boxes[0].tolist()]):
        assert len(person_finder(PERSON, ["a"], of_one, None)(LoadedImage(0, "a", PIXELS))) == 2
    for no_boxes in (np.zeros((0, 4)), [np.zeros((0, 4))], [[]]):
        assert len(person_finder(PERSON, ["a"], no_boxes, None)(LoadedImage(0, "a", PIXELS))) == 0


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([np.ones((1, 4))] * 2, "boxes_xywh has 2 arrays for 1 images"),
        ([np.ones((1, 5))], r"boxes_xywh\[0\] has shape \[1, 5\]"),
        ([np.ones(3)], r"boxes_xywh\[0\] has shape \[3\]"),
        (
            [np.array([[0, 0, 1, 1], [1, 1, 0, 5]])],
            r"boxes_xywh\[0\]\[1\] is \[1.0, 1.0, 0.0, 5.0\], which has no area",
        ),
        ([np.array([[0, 0, np.inf, 1]])], "has no area"),
        ([["a"]], "are not boxes"),
        ([[[1, 2, 3, 4], [1, 2]]], "are not boxes"),
        (7, "are not boxes"),
        ({"a": 1}, "are not boxes"),
    ],
)
def test_invalid_boxes_are_an_error(boxes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        person_finder(PERSON, ["a"], boxes, None)


def test_boxes_and_a_detector_are_an_error() -> None:
    with pytest.raises(UsageError, match="not both"):
        person_finder(PERSON, ["a"], [np.ones((1, 4))], lambda image: [])


def test_whole_images_are_taken_without_boxes(capsys: pytest.CaptureFixture[str]) -> None:
    height, width = PIXELS.shape[:2]
    assert person_finder(PERSON, ["a"], None, None)(LoadedImage(0, "a", PIXELS)).boxes.tolist() == [
        [0, 0, width, height]
    ]
    assert "takes each image as the box of one person" in capsys.readouterr().err
    assert person_finder(PERSON, [], None, None)(LoadedImage(0, "a", PIXELS)) is NO_BOXES


def test_file_without_any_of_the_images_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, [row(7)])
    with pytest.raises(DataError, match="has none of the 2 images"):
        person_finder(PERSON, ["1.jpg", "x.jpg"], path, None)
    find = person_finder(PERSON, ["1.jpg", "7.jpg"], path, None)
    assert [len(find(LoadedImage(0, name, PIXELS))) for name in ("1.jpg", "7.jpg")] == [0, 1]


def test_detector_boxes_of_the_class_over_the_minimum_score() -> None:
    detections = Detections(
        boxes=np.array([[1, 2, 4, 6], [0, 0, 5, 5], [0, 0, 9, 9], [3, 3, 3, 9]], np.float32),
        scores=np.array([0.8, 0.9, MIN_DETECTOR_SCORE - 0.01, 0.9], np.float32),
        labels=np.array([1, 0, 1, 1]),
        image_size=(20, 30),
        categories=from_names(["dog", "person"]),
    )
    find = person_finder(PERSON, ["a"], None, lambda image: [detections])
    assert find(LoadedImage(0, "a", PIXELS)).boxes.tolist() == [[1, 2, 4, 6]]
