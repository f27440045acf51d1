"""What is made ahead in a thread."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import splitnest
from splitnest.ahead import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "splitnest-ahead"]


def test_nothing() -> None:
    assert list(ahead([], 1)) == []
    assert not threads()


@pytest.mark.parametrize("count", [1, 3])
def test_order_and_how_far_ahead(count: int) -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    for position, item in enumerate(ahead(items(), count)):
        assert item == position
        time.sleep(0.005)
        assert len(made) <= position + 1 + count + 1
    assert not threads()


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise splitnest.DataError("third.jpg cannot be read.")

    seen: list[int] = []
    with pytest.raises(splitnest.DataError, match="third"):
        seen.extend(ahead(items(), 5))
    assert seen == [1, 2]
    assert not threads()


@pytest.mark.parametrize("leave", ["close", "error"])
def test_the_thread_ends_when_nobody_goes_on(leave: str) -> None:
    found = ahead(iter(range(1000)), 2)
    assert next(found) == 0
    if leave == "close":
        found.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            found.throw(KeyboardInterrupt())
    assert not threads()


def test_predictions_are_the_same_and_errors_are_in_order(tmp_path: Path) -> None:
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    values = {"model.backbone.depth": 14, "model.backbone.planes": 8, "input.size": 32}
    model = splitnest.load("resnest50_imagenet.official", None, "cpu", values)
    told: list[str] = []
    found = list(model.predictions(tmp_path, batch_size=2, on_error=lambda name, _: told.append(name)))
    assert told == [str(tmp_path / "2.png")]
    assert [Path(each.source).name for each in found] == ["0.png", "1.png", "3.png", "4.png"]
    for each in found:
        (alone,) = model.predict(each.source)
        assert np.allclose(alone.probabilities, each.result.probabilities, atol=1e-6)
    with pytest.raises(splitnest.DataError, match=r"2.png"):
        model.predict(tmp_path)
    assert not threads()
