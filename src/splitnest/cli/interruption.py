"""Signals to a command whose work is kept."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from splitnest.errors import Interrupted

SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__)


class _Signal(BaseException):
    """Signal that arrived. After a KeyboardInterrupt that was handled, Python may still exit with code 130."""


@contextmanager
def interruptible(how_to_continue: Callable[[], str]) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP inside the context into Interrupted; a second signal has its previous effect.

    The context ends at once, so its outputs have to be complete at every moment. Signals that were ignored before stay
    ignored.

    Args:
        how_to_continue: Function that returns the second sentence of the message.

    Raises:
        Interrupted: A signal arrived.
    """
    received: list[signal.Signals] = []

    def handle(number: int, _: FrameType | None) -> None:
        if received:
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)
            return
        received.append(signal.Signals(number))
        raise _Signal

    previous = {
        number: handler for number in SIGNALS if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    except _Signal as error:
        raise Interrupted(f"Interrupted by {received[0].name}. {how_to_continue()}") from error
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
