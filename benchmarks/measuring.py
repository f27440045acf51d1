"""Parts of the benchmarks: runs in turn, memory, our variants, a description of the machine."""

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
"""Title -> options of ``splitnest.load``."""


def variants(name: str, weights: Path | None) -> dict[str, splitnest.Predictor]:
    """Load a model in each variant that this processor supports."""
    models = {}
    for title, options in VARIANTS.items():
        try:
            models[title] = splitnest.load(name, weights, "cpu", **options)
        except UsageError as error:
            print(f"{title}: skipped. {error}")
    return models


def in_turn(runs: Mapping[str, Callable[[], Any]], rounds: int, *, before: int = 0) -> dict[str, float]:
    """Return the median seconds of each run. Runs take turns, and the first round is not counted.

    Args:
        runs: Title -> run.
        rounds: Number of timed rounds.
        before: Number of untimed repetitions before each timed run, because the caches hold data of another run.
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


def matmul_gflops(side: int = 2048) -> float:
    """Return the operations per second of a float32 matrix product in 1e9."""
    matrix, times = torch.randn(side, side), []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return 2e-9 * side**3 / min(times)


def machine() -> str:
    """Return a description of the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )


def reset_peak(device: torch.device) -> int:
    """Reset the peak memory of the process or the GPU, and return the bytes in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def peak_memory(device: torch.device) -> int:
    """Return the peak memory of the process or the GPU in bytes."""
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else memory("VmHWM")


def memory(field: str) -> int:
    """Return a field of ``/proc/self/status`` in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
