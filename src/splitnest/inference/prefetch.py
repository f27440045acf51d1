"""Background prefetching of an iterable."""

from collections.abc import Generator, Iterable
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], count: int) -> Generator[T]:
    """Yield items in order, which a thread computes up to ``count`` ahead.

    An error of the iterable is raised in place of its item. The thread ends with the items, or soon after the generator
    is closed or dropped.

    Args:
        items: Iterable, consumed in the thread.
        count: Maximum number of items that wait, at least 1; the thread holds another one.
    """
    queue: Queue[tuple[T | None, BaseException | None, bool]] = Queue(count)
    stopped = Event()

    def produce() -> None:
        try:
            for item in items:
                queue.put((item, None, False))
                if stopped.is_set():
                    return
            queue.put((None, None, True))
        except BaseException as error:
            queue.put((None, error, True))

    thread = Thread(target=produce, name="splitnest-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error, is_last = queue.get()
            if error is not None:
                raise error
            if is_last:
                return
            yield item  # type: ignore[misc]  # None only for the last element
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for a place in the queue
            while not queue.empty():
                queue.get_nowait()
            thread.join(0.05)
