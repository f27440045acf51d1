"""What the benchmarks against peers share: runs in turn, our variants, the machine."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import splitnest
from splitnest.errors import UsageError

VARIANTS: dict[str, dict[str, Any]] = {
    "splitnest": {},
    "splitnest, fast": {"fast": True},
    "splitnest, fast, bf16": {"fast": True, "precision": "bf16"},
}
"""Options of ``splitnest.load``."""


def variants(name: str, weights: Path | None) -> dict[str, splitnest.Predictor]:
    """Load a model in each way that this processor is quick at."""
    models = {}
    for title, options in VARIANTS.items():
        try:
            models[title] = splitnest.load(name, weights, "cpu", **options)
        except UsageError as error:
            print(f"{title}: left out. {error}")
    return models


def in_turn(runs: Mapping[str, Callable[[], Any]], rounds: int, *, before: int = 0) -> dict[str, float]:
    """Return the median seconds of each run, which take turns; the first round is not counted.

    Args:
        runs: By title.
        rounds: How often each is timed.
        before: How often each is run before it is timed: what the caches hold is of another one.
    """
    times: dict[str, list[float]] = {title: [] for title in runs}
    for _ in range(rounds + 1):
        for title, run in runs.items():
            for _ in range(before):
                run()
            start = time.perf_counter()
            run()
            times[title].append(time.perf_counter() - start)
    return {title: statistics.median(seconds[1:]) for title, seconds in times.items()}


def product(side: int = 2048) -> float:
    """Return 1e9 operations a second of a matrix product."""
    matrix, times = torch.randn(side, side), []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return 2e-9 * side**3 / min(times)


def about() -> str:
    """Name the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
