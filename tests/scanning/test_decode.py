"""Reading and decoding ahead of the network."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.scan_data import BROKEN, encoded
from splitnest.scanning import decode
from splitnest.scanning.decode import DecodedImage, ShardEnd, decoded_images
from splitnest.scanning.encoded import EncodedImage, StoreError, UnansweredError


def reader(num_images: int, size_wh: tuple[int, int] = (8, 6), started: list[str] | None = None) -> object:
    content = encoded(0, size_wh)

    def read(shard: int) -> Iterator[EncodedImage]:
        for number in range(num_images):
            if started is not None:
                started.append(f"{shard}/{number}")
            yield EncodedImage(f"{shard}/{number}", lambda: content, len(content))

    return read


def test_no_shards() -> None:
    assert list(decoded_images(iter([]), reader(1), 2)) == []  # type: ignore[arg-type]


def test_images_have_the_order_of_their_shards() -> None:
    items = list(decoded_images(iter([5, 2]), reader(100), 3))  # type: ignore[arg-type]
    assert [item.key for item in items if isinstance(item, DecodedImage)] == [
        f"{shard}/{number}" for shard in (5, 2) for number in range(100)
    ]
    assert [index for index, item in enumerate(items) if isinstance(item, ShardEnd)] == [100, 201]


def test_the_number_of_bytes_ahead_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_BYTES", 1_000_000)
    started: list[str] = []
    stream = decoded_images(iter([0]), reader(50, (400, 250), started), 2)  # type: ignore[arg-type]
    next(stream)  # 300,000 bytes each
    time.sleep(0.3)
    assert len(started) < 12
    assert sum(1 for _ in stream) == 50


def test_a_stream_that_is_dropped_ends_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_BYTES", 1000)
    before = threading.active_count()
    stream = decoded_images(iter(range(100)), reader(50, (400, 250)), 2)  # type: ignore[arg-type]
    next(stream)
    stream.close()
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_an_unreadable_image_is_an_error_of_its_own() -> None:
    images = [EncodedImage("a", lambda: BROKEN), EncodedImage("b", lambda: encoded(1))]
    first, second, _ = decoded_images(iter([0]), lambda _: iter(images), 2)
    assert isinstance(first, DecodedImage)
    assert first.pixels is None
    assert "a cannot be read as an image" in str(first.error)
    assert isinstance(second, DecodedImage)
    assert second.pixels is not None


@pytest.mark.parametrize("failures", [3, 4])
def test_a_store_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    monkeypatch.setattr(decode, "WAIT_S", 0.001)
    calls: list[int] = []

    def read() -> bytes:
        calls.append(1)
        if len(calls) <= failures:
            raise StoreError("s3://b/a.png", TimeoutError("timed out"))
        return encoded(1)

    stream = decoded_images(iter([0]), lambda _: iter([EncodedImage("a", read)]), 1)
    if failures < decode.ATTEMPTS:
        image = next(stream)
        assert isinstance(image, DecodedImage)
        assert image.pixels is not None
        return
    with pytest.raises(UnansweredError, match=r"s3://b/a\.png cannot be read: timed out, after 4 attempts") as caught:
        next(stream)
    assert caught.value.exit_code == 3


def test_an_error_of_the_reader_is_raised(tmp_path: Path) -> None:
    def read(_: int) -> Iterator[EncodedImage]:
        yield EncodedImage("a", lambda: encoded(1))
        raise RuntimeError("the store is gone")

    stream = decoded_images(iter([0]), read, 1)
    next(stream)
    with pytest.raises(RuntimeError, match="the store is gone"):
        next(stream)
