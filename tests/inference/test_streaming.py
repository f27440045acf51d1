"""Streams of images: generators are sources, results are yielded as they come, and memory stays flat."""

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers.command_line import RECIPE
from splitnest.errors import DataError, UsageError
from splitnest.inference.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(RECIPE)
    return splitnest.load(path, weights=None, device="cpu")


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("recipe") / "pose.yaml"
    path.write_text("base: simplebaseline_resnest50_256x192_coco\nmodel.backbone: {depth: 14, planes: 16}\n")
    return splitnest.load(path, weights=None, device="cpu")


def images(count: int) -> Iterator[np.ndarray]:
    for number in range(count):
        yield np.full((20 + number, 30, 3), number, np.uint8)


def test_an_empty_generator(predictor: Predictor) -> None:
    assert predictor.predict(iter([])) == []
    assert list(predictor.predict(iter([]), stream=True)) == []


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_generator_gives_the_results_of_a_list(predictor: Predictor, batch_size: int) -> None:
    expected = predictor.predict(list(images(5)), batch_size=batch_size)
    results = predictor.predict(images(5), batch_size=batch_size, stream=True)
    for one, other in zip(results, expected, strict=True):
        assert one.image_size == other.image_size
        np.testing.assert_array_equal(one.boxes, other.boxes)  # type: ignore[union-attr]


def test_a_stream_takes_images_as_it_is_read(predictor: Predictor) -> None:
    taken = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            taken.append(len(taken))
            yield np.zeros((20, 30, 3), np.uint8)

    results = iter(predictor.predict(endless(), batch_size=2, stream=True))
    assert not taken  # nothing happens before the first result
    for _ in range(4):
        next(results)
    assert len(taken) <= 4 + 2 * 2 + 2
    results.close()  # type: ignore[attr-defined]


def test_a_stream_holds_one_batch_and_the_next(predictor: Predictor) -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    def sources() -> Iterator[np.ndarray]:
        for image in images(12):
            alive.append(weakref.ref(image))
            yield image

    most = 0
    for result in predictor.predict(sources(), stream=True):
        del result
        most = max(most, sum(image() is not None for image in alive))
    assert most <= 5


def test_generators_of_paths_folders_and_names(predictor: Predictor, tmp_path: Path) -> None:
    for name in ("a.png", "below/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    assert len(predictor.predict(path for path in (tmp_path, str(tmp_path / "a.png"), tmp_path / "*.png"))) == 4
    assert len(predictor.predict(tmp_path.rglob("*.png"))) == 2
    with pytest.raises(DataError, match=r"absent\.png does not exist"):
        list(predictor.predict(iter(["absent.png"]), stream=True))
    with pytest.raises(DataError, match="int is not an image"):
        predictor.predict(iter([5]))


def test_an_error_of_a_generator_is_raised(predictor: Predictor) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from images(2)
        raise OSError("the camera is gone")

    seen = []
    with pytest.raises(OSError, match="the camera is gone"):
        seen.extend(predictor.predict(broken(), stream=True))
    assert len(seen) == 2


def test_arguments_of_a_stream_are_checked_at_once(predictor: Predictor, pose: Predictor) -> None:
    for options in ({"batch_size": 0}, {"score_threshold": 2}, {"boxes_xywh": "boxes.json"}):
        with pytest.raises(UsageError):
            predictor.predict(images(1), stream=True, **options)
    with pytest.raises(UsageError, match="are not boxes"):
        pose.predict(images(1), stream=True, boxes_xywh=7)


def test_person_boxes_of_a_generator(pose: Predictor, predictor: Predictor) -> None:
    boxes = [np.array([[0, 0, 30, 20]]), np.zeros((0, 4))]
    results = pose.predict(images(2), boxes_xywh=boxes)
    assert [len(result.boxes) for result in results] == [1, 0]  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="boxes_xywh has 2 arrays, but there are more images"):
        pose.predict(images(3), boxes_xywh=boxes)
