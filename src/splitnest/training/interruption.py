"""A training that is told to stop: SIGTERM, as schedulers of machines send it, and SIGINT, which is Ctrl-C."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from splitnest.errors import Interrupted
from splitnest.processes import are_asked_for, is_first, largest, world_size
from splitnest.training.state import TrainingState

SIGNALS = (signal.SIGTERM, signal.SIGINT)

SAME_S = 1.0
"""Seconds within which signals to one of several processes count as one."""


class Interruption:
    """Takes note of the first signal, so that the step can be finished; a context manager.

    A second signal does what it did before, so it leaves at once. Of several processes it is the first one still within
    a second, as a terminal sends it to all of them and whoever started them passes it on. Signals that were ignored
    stay ignored. In a thread that is not the main one no signal arrives, and none is waited for.

    Args:
        state: The training.
        total: Steps of the whole training.
        folder: Of the run.

    Attributes:
        received: The first signal, None before it comes.
    """

    def __init__(self, state: TrainingState, total: int, folder: Path) -> None:
        self.received: signal.Signals | None = None
        self._state, self._total, self._folder = state, total, folder
        self._at_once, self._received_at = False, 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not ours to give back
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def error(self) -> Interrupted:
        """Return what is raised once the checkpoint is written."""
        assert self.received is not None
        return Interrupted(
            f"Interrupted by {self.received.name} after step {self._state.step} of {self._total}; go on with: "
            f"splitnest train {self._folder} --resume"
        )

    def is_due(self) -> bool:
        """Whether a signal came, to this process or another one; collective."""
        if largest(int(self.received is not None)) == [0]:
            return False
        self.received = self.received or signal.SIGTERM
        return True

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In place of waiting for an end: break off what is done here, as it can be done again; collective.

        Of several processes none may leave the others, so they wait for the end.

        Raises:
            Interrupted: A signal came before or meanwhile.
        """
        if self.is_due():
            raise self.error()
        self._at_once = world_size() == 1
        try:
            yield
        except KeyboardInterrupt:
            if self.received is None:
                raise
            raise self.error() from None
        finally:
            self._at_once = False

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            if are_asked_for() and time.monotonic() - self._received_at < SAME_S:
                return
            signal.signal(number, self._before[signal.Signals(number)])
            signal.raise_signal(number)
            return
        self.received, self._received_at = signal.Signals(number), time.monotonic()
        if is_first():  # print would fail where the signal came in the middle of another print
            os.write(2, f"\n{self.received.name}: writing a checkpoint; once more leaves without one\n".encode())
        if self._at_once:
            raise KeyboardInterrupt
