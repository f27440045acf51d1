"""Reading and decoding ahead of the network: a bounded number of bytes, several threads, the order of the shards."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition

import numpy as np
from numpy.typing import NDArray

from splitnest.data.images.read import decode_image
from splitnest.errors import DataError
from splitnest.inference.prefetch import prefetch
from splitnest.scanning.encoded import EncodedImage, StoreError, UnansweredError

MAX_BYTES = 256 << 20
"""Maximum size of the images in memory ahead of the network, encoded and decoded; a larger one comes alone."""

MAX_AHEAD = 64
"""Maximum number of images ahead of the network."""

ATTEMPTS, WAIT_S = 4, 1.0
"""Number of attempts to read an image from a store that does not answer, and the first time between two."""


@dataclass(frozen=True)
class DecodedImage:
    """Image of a shard, or the reason why there is none.

    Attributes:
        shard: Number of the shard.
        number: Index of the image in the shard.
        key: Name of the image in the results.
        pixels: uint8 RGB ``[H, W, 3]``; None for an unreadable image.
        error: Message; None for a readable image.
    """

    shard: int
    number: int
    key: str
    pixels: NDArray[np.uint8] | None
    error: str | None = None


@dataclass(frozen=True)
class ShardEnd:
    """End of the images of a shard."""

    shard: int


class ByteBudget:
    """Number of bytes in use by several threads, of which one waits until there is room.

    Args:
        limit: Number of bytes from which ``wait`` waits.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._changed = Condition()

    def wait(self, num_bytes: int) -> None:
        """Add bytes once there is room for them, or nothing else in use."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + num_bytes <= self._limit)
            self._used += num_bytes

    def add(self, num_bytes: int) -> None:
        """Add or, with a negative number, give back bytes at once."""
        with self._changed:
            self._used += num_bytes
            self._changed.notify_all()


def decoded_images(
    shards: Iterable[int], read: Callable[[int], Iterator[EncodedImage]], workers: int
) -> Generator[DecodedImage | ShardEnd]:
    """Yield the images of shards, each followed by its end, in order.

    Args:
        shards: Numbers of the shards, consumed in a thread as their images are needed.
        read: Function that reads the images of a shard.
        workers: Number of threads that read image files and decode.

    Raises:
        DataError: A store does not answer, or a Parquet file cannot be read.
    """
    budget = ByteBudget(MAX_BYTES)
    pool = ThreadPoolExecutor(workers, "splitnest-decode")

    def submitted() -> Iterator[Future[DecodedImage] | ShardEnd]:
        for shard in shards:
            for number, image in enumerate(read(shard)):
                budget.wait(image.num_bytes)
                yield pool.submit(_decode, shard, number, image, budget)
            yield ShardEnd(shard)

    ahead = prefetch(submitted(), MAX_AHEAD)
    try:
        for item in ahead:
            if isinstance(item, ShardEnd):
                yield item
                continue
            image = item.result()
            budget.add(0 if image.pixels is None else -image.pixels.nbytes)
            yield image
    finally:
        budget.add(-1 << 62)  # before the thread is waited for: it may wait for room
        pool.shutdown(wait=False, cancel_futures=True)
        ahead.close()


def _decode(shard: int, number: int, image: EncodedImage, budget: ByteBudget) -> DecodedImage:
    pixels = None
    try:
        pixels, message = decode_image(_read(image), image.key), None
    except DataError as error:
        message = str(error)
    finally:
        budget.add((0 if pixels is None else pixels.nbytes) - image.num_bytes)
    return DecodedImage(shard, number, image.key, pixels, message)


def _read(image: EncodedImage) -> bytes:
    """Return the bytes of an image, after several attempts if its store does not answer."""
    for attempt in range(ATTEMPTS):
        try:
            return image.read()
        except StoreError as error:
            if attempt == ATTEMPTS - 1:
                raise UnansweredError(
                    f"{error}, after {ATTEMPTS} attempts. Check the connection and the credentials, and run the scan "
                    f"again."
                ) from error
            time.sleep(WAIT_S * 2**attempt)
    raise AssertionError("unreachable")
