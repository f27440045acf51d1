"""Progress of a training: live lines on a terminal, a plain line every ten seconds elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch

from splitnest.distributed import is_main_process
from splitnest.metrics.evaluator import readable
from splitnest.progress import LINE_INTERVAL_S, memory_mb
from splitnest.training.meter import StepMetrics
from splitnest.training.metrics_log import headline

if TYPE_CHECKING:
    from rich.console import RenderableType

SMOOTHING = 0.9
"""Weight of the previous value in the exponential average of displayed numbers."""


class Display:
    """Context that shows the progress of a training on standard error, in the main process.

    Args:
        total: Number of steps of the training.
        start: Number of steps done before.
    """

    def __init__(self, total: int, start: int) -> None:
        self._total, self._done = total, start
        self._losses: dict[str, float] = {}
        self._times: dict[str, float] = {}
        self._lr = 0.0
        self._printed = -LINE_INTERVAL_S
        self._live = _live(self) if is_main_process() and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, done: int, metrics: StepMetrics) -> None:
        """Show the number of steps done and the measurements of the last one."""
        self._done, self._lr = done, metrics.lr
        losses = {name.removeprefix("loss_"): value for name, value in metrics.losses.items()}
        self._losses = _smoothed(self._losses, {"loss": metrics.loss, **losses})
        times = {"seconds": metrics.seconds, "data": metrics.data_seconds, "images": float(metrics.num_images)}
        self._times = _smoothed(self._times, times)
        now = time.perf_counter()
        is_due = done == self._total or now - self._printed >= LINE_INTERVAL_S
        if is_main_process() and self._live is None and is_due:
            self._printed = now
            print(f"step {done}/{self._total}, {self._loss_line()}, {self._time_line()}", file=sys.stderr, flush=True)

    def metrics(self, done: int, metrics: Mapping[str, float]) -> None:
        """Print the metrics of an evaluation, in percent but for losses, while the live lines are paused."""
        if metrics and is_main_process():
            values = ", ".join(f"{name} {readable(name, value)}" for name, value in headline(metrics).items())
            print(f"step {done}/{self._total}: {values}", file=sys.stderr, flush=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the live lines inside the context."""
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
        total, *others = (f"{name} {_format(value)}" for name, value in self._losses.items())
        return f"{total} ({', '.join(others)})"

    def _time_line(self) -> str:
        seconds, data, images = (self._times[key] for key in ("seconds", "data", "images"))
        return (
            f"lr {self._lr:.2g}, {images / seconds:.1f} images/s, {data / seconds:.0%} waiting for data, "
            f"{_memory()}, {duration(seconds * (self._total - self._done))} left"
        )


def _live(display: Display) -> Any:
    from rich.console import Console
    from rich.live import Live

    return Live(get_renderable=display.__rich__, console=Console(stderr=True), refresh_per_second=4)


def _smoothed(previous: Mapping[str, float], current: Mapping[str, float]) -> dict[str, float]:
    return {key: SMOOTHING * previous.get(key, value) + (1 - SMOOTHING) * value for key, value in current.items()}


def _memory() -> str:
    """Return the peak memory of the device that trains."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return f"{torch.cuda.max_memory_allocated() // 2**20} MB on the GPU"
    return f"{memory_mb()} MB"


def duration(seconds: float) -> str:
    """Return a duration in hours, minutes and seconds, as people read it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _format(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.2g}"  # heatmap losses are a few ten-thousandths
