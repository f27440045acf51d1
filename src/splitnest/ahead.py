"""Making what comes next while somebody works on what came before."""

from collections.abc import Iterable, Iterator
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """Yield ``items`` in their order, which a thread makes up to ``count`` ahead.

    An error of theirs is raised where the item would have come. The thread ends with the items, or soon after the
    generator is closed or given up.

    Args:
        items: Made one after the other, in the thread.
        count: At least 1. The thread also has one in its hands.
    """
    queue: Queue[tuple[T | None, BaseException | None, bool]] = Queue(count)
    stopped = Event()

    def make() -> None:
        try:
            for item in items:
                queue.put((item, None, False))
                if stopped.is_set():
                    return
            queue.put((None, None, True))
        except BaseException as error:
            queue.put((None, error, True))

    thread = Thread(target=make, name="splitnest-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error, is_last = queue.get()
            if error is not None:
                raise error
            if is_last:
                return
            yield item  # type: ignore[misc]  # None only where there is nothing more
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for a place in the queue
            while not queue.empty():
                queue.get_nowait()
            thread.join(0.05)
