"""SIGTERM, SIGINT and SIGHUP in a training: the first is remembered, so that the step can be finished."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

from splitnest.distributed import is_launched, is_main_process

SIGNALS = (signal.SIGTERM, signal.SIGINT, *([] if sys.platform == "win32" else [signal.SIGHUP]))

SAME_SIGNAL_S = 1.0
"""Time within which two signals to a process of a group count as one."""


class SignalHandler:
    """Context that remembers the first signal; a second one has its previous effect, so it ends the process.

    In a process group a second signal within ``SAME_SIGNAL_S`` is ignored: a terminal sends a signal to all processes,
    and their launcher forwards it. Signals that were ignored before stay ignored. Outside the main thread no signals
    arrive.

    Attributes:
        received: First signal; None before it.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._raises, self._received_at = False, 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not set from Python
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def name(self) -> str:
        """Name of the received signal; SIGTERM if another process received it."""
        return (self.received or signal.SIGTERM).name

    @contextmanager
    def raising(self, enabled: bool) -> Iterator[None]:
        """Raise KeyboardInterrupt on the first signal inside the context, if enabled."""
        self._raises = enabled
        try:
            yield
        finally:
            self._raises = False

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            if is_launched() and time.monotonic() - self._received_at < SAME_SIGNAL_S:
                return
            signal.signal(number, self._previous[signal.Signals(number)])
            signal.raise_signal(number)
            return
        self.received, self._received_at = signal.Signals(number), time.monotonic()
        if self.received.name == "SIGHUP":
            _leave_terminal()
        if is_main_process():  # print would fail if the signal arrived inside another print
            with suppress(OSError):
                os.write(
                    2, f"\n{self.received.name}: writing a checkpoint; a second signal exits without one\n".encode()
                )
        if self._raises:
            raise KeyboardInterrupt


def _leave_terminal() -> None:
    """Discard further output to a terminal or a pipe that was closed, as writing to it would fail."""
    for descriptor in (1, 2):
        poll = select.poll()
        poll.register(descriptor, 0)  # errors and hang-ups are always reported
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
