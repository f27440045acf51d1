"""A training on the screen: live lines on a terminal, a plain line every ten seconds elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch

from splitnest.processes import is_first
from splitnest.progress import LINE_EVERY_SECONDS, memory_mb
from splitnest.training.meter import Measured
from splitnest.training.metrics import headline

if TYPE_CHECKING:
    from rich.console import RenderableType

SMOOTHING = 0.9
"""Share of the past in the numbers that are shown."""


class Display:
    """Shows on standard error how far a training is, once for all processes; a context manager.

    Args:
        total: Steps of the whole training.
        start: Steps that were done before.
    """

    def __init__(self, total: int, start: int) -> None:
        self._total, self._done = total, start
        self._losses: dict[str, float] = {}
        self._times: dict[str, float] = {}
        self._rate = 0.0
        self._printed = -LINE_EVERY_SECONDS
        self._live = _live(self) if is_first() and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, done: int, measured: Measured) -> None:
        """Show that ``done`` steps are done, and what the last of them measured."""
        self._done, self._rate = done, measured.learning_rate
        losses = {name.removeprefix("loss_"): value for name, value in measured.losses.items()}
        self._losses = _mixed(self._losses, {"loss": measured.loss, **losses})
        times = {"seconds": measured.seconds, "waited": measured.waited, "images": float(measured.images)}
        self._times = _mixed(self._times, times)
        now = time.perf_counter()
        if is_first() and self._live is None and (done == self._total or now - self._printed >= LINE_EVERY_SECONDS):
            self._printed = now
            print(f"step {done}/{self._total}, {self._loss_line()}, {self._time_line()}", file=sys.stderr, flush=True)

    def metrics(self, done: int, metrics: Mapping[str, float]) -> None:
        """Write a line of what an evaluation found; to be called while the live lines are paused."""
        if metrics and is_first():
            found = ", ".join(f"{name} {value:.3f}" for name, value in headline(metrics).items())
            print(f"step {done}/{self._total}: {found}", file=sys.stderr, flush=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the screen to somebody else for a while."""
        if self._live is not None:
            self._live.stop()
        yield
        if self._live is not None:
            self._live.start()

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        bar = Table.grid(padding=(0, 1))
        bar.add_row("training", ProgressBar(self._total, self._done, width=40), f"{self._done}/{self._total}")
        if not self._times:
            return bar
        return Group(bar, *(Text(t, no_wrap=True, overflow="ellipsis") for t in (self._loss_line(), self._time_line())))

    def _loss_line(self) -> str:
        total, *others = (f"{name} {_shown(value)}" for name, value in self._losses.items())
        return f"{total} ({', '.join(others)})"

    def _time_line(self) -> str:
        seconds, waited, images = (self._times[key] for key in ("seconds", "waited", "images"))
        return (
            f"rate {self._rate:.2g}, {images / seconds:.1f} images/s, {waited / seconds:.0%} waiting for data, "
            f"{_memory()}, {_duration(seconds * (self._total - self._done))} left"
        )


def _live(display: Display) -> Any:
    from rich.console import Console
    from rich.live import Live

    return Live(get_renderable=display.__rich__, console=Console(stderr=True), refresh_per_second=4)


def _mixed(past: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    return {key: SMOOTHING * past.get(key, value) + (1 - SMOOTHING) * value for key, value in now.items()}


def _memory() -> str:
    """The peak memory of the device that trains."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return f"{torch.cuda.max_memory_allocated() // 2**20} MB on the GPU"
    return f"{memory_mb()} MB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _shown(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.2g}"  # heatmaps have losses of a few ten thousandths
