"""Background prefetching of an iterable."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import splitnest
from splitnest.inference.prefetch import prefetch


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "splitnest-prefetch"]


def test_no_items() -> None:
    assert list(prefetch([], 1)) == []
    assert not threads()


@pytest.mark.parametrize("count", [1, 3])
def test_prefetching_keeps_the_order_and_its_limit(count: int) -> None:
    produced: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            produced.append(number)
            yield number

    for position, item in enumerate(prefetch(items(), count)):
        assert item == position
        time.sleep(0.005)
        assert len(produced) <= position + 1 + count + 1
    assert not threads()


def test_error_is_raised_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise splitnest.DataError("third.jpg cannot be read.")

    seen: list[int] = []
    with pytest.raises(splitnest.DataError, match="third"):
        seen.extend(prefetch(items(), 5))
    assert seen == [1, 2]
    assert not threads()


@pytest.mark.parametrize("leave", ["close", "error"])
def test_thread_ends_when_iteration_stops_early(leave: str) -> None:
    items = prefetch(iter(range(1000)), 2)
    assert next(items) == 0
    if leave == "close":
        items.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            items.throw(KeyboardInterrupt())
    assert not threads()


def test_predictions_skip_unreadable_images_in_order(tmp_path: Path) -> None:
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"not an image")
    values = {"model.backbone.depth": 14, "model.backbone.planes": 8, "input.size": 32}
    model = splitnest.load("resnest50_imagenet.official", None, "cpu", values)
    errors: list[str] = []
    predictions = list(model.predictions(tmp_path, batch_size=2, on_error=lambda name, _: errors.append(name)))
    assert errors == [str(tmp_path / "2.png")]
    assert [Path(each.source).name for each in predictions] == ["0.png", "1.png", "3.png", "4.png"]
    for each in predictions:
        (single,) = model.predict(each.source)
        assert np.allclose(single.probabilities, each.result.probabilities, atol=1e-6)
    with pytest.raises(splitnest.DataError, match=r"2.png"):
        model.predict(tmp_path)
    assert not threads()
