"""Signals to a command whose work is kept."""

import signal
from collections.abc import Iterator

import pytest

from splitnest.cli.interruption import SIGNALS, interruptible
from splitnest.errors import Interrupted


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Give each signal a handler, as a job in the background or of nohup has them ignored."""
    previous = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


def test_without_a_signal() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with interruptible(lambda: "never"):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_context_at_once(number: signal.Signals) -> None:
    before, done = signal.getsignal(number), []

    def work() -> None:
        for step in range(10):
            if step == 3:
                signal.raise_signal(number)
            done.append(step)

    with pytest.raises(Interrupted) as caught, interruptible(lambda: f"Done: {len(done)}."):
        work()
    assert str(caught.value) == f"Interrupted by {number.name}. Done: 3."
    assert caught.value.exit_code == 75
    assert signal.getsignal(number) == before


def test_a_second_signal_has_its_previous_effect() -> None:
    received = []
    signal.signal(signal.SIGTERM, lambda number, _: received.append(number))

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            assert not received
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted), interruptible(lambda: ""):
        work()
    assert received == [signal.SIGTERM]


def test_ignored_signals_stay_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible(lambda: ""):
        signal.raise_signal(signal.SIGHUP)


def test_errors_pass() -> None:
    with pytest.raises(ValueError, match="other"), interruptible(lambda: ""):
        raise ValueError("other")
