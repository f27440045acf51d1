"""Warnings about a training that its log shows: what looks wrong, and what to change."""

import math
from collections.abc import Iterator, Sequence

from splitnest.metrics.statistics.errors import VAL_LOSS
from splitnest.training.metrics_log import Row

RECENT = 20
"""Number of the last rows whose throughput is judged."""

MAX_DATA_FRACTION = 0.3
"""Share of the time spent waiting for data from which loading is too slow."""

MIN_ROWS = 100
"""Number of rows from which the course of the loss is judged."""

MAX_RISE = 1.1
"""Validation loss, as a multiple of its minimum, from which it rises."""


def warnings_of(rows: Sequence[Row]) -> list[str]:
    """Return warnings about the rows of a log, one sentence or two each."""
    return [*_slow_data(rows), *_loss(rows), *_overfitting(rows)]


def _slow_data(rows: Sequence[Row]) -> Iterator[str]:
    fractions = [row["data_fraction"] for row in rows[-RECENT:] if "data_fraction" in row]
    if len(fractions) >= RECENT // 2 and sum(fractions) / len(fractions) > MAX_DATA_FRACTION:
        waiting = sum(fractions) / len(fractions)
        yield f"{waiting:.0%} of the time is spent waiting for data. Raise train.workers, or use smaller image files."


def _loss(rows: Sequence[Row]) -> Iterator[str]:
    losses = [row["loss"] for row in rows if math.isfinite(row.get("loss", math.nan))]
    tenth = len(losses) // 10
    if len(losses) < MIN_ROWS:
        return
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    if last >= first:
        yield (
            f"The loss has not fallen: {first:.3g} in the first rows, {last:.3g} in the last. Check train.lr, the "
            f"classes, and the samples that splitnest data show draws."
        )


def _overfitting(rows: Sequence[Row]) -> Iterator[str]:
    losses = [(row[VAL_LOSS], int(row["step"])) for row in rows if math.isfinite(row.get(VAL_LOSS, math.nan))]
    if len(losses) < 3:
        return
    lowest, step = min(losses)
    if all(value > MAX_RISE * lowest for value, _ in losses[-2:]):
        yield (
            f"The validation loss was lowest after step {step} ({lowest:.3g}) and is {losses[-1][0]:.3g} now, so the "
            f"model overfits. Train shorter, or augment more."
        )
