"""Images per second of ResNeSt-50 at 224x224 and batch 8, against timm's eager network, in turn in one process.

    pip install timm
    python benchmarks/classification.py [--rounds 15] [--batch-size 8]

Printed is the table of ``docs/performance.md``: medians, and ratios of medians.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from torch import Tensor

import splitnest
from splitnest.errors import UsageError

NAME = "resnest50d"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    images = torch.randn(arguments.batch_size, 3, 224, 224)
    runs: dict[str, Callable[[], Tensor]] = {"timm, eager": forward(timm.create_model(NAME).eval(), images)}
    for title, options in {
        "splitnest": {},
        "splitnest, fast": {"fast": True},
        "splitnest, fast, bf16": {"fast": True, "precision": "bf16"},
    }.items():
        try:
            model = splitnest.load(f"{NAME}_imagenet.timm", weights=None, device="cpu", **options)
        except UsageError as error:
            print(f"{title}: left out. {error}")
            continue
        runs[title] = forward(model.module, images.to(model.dtype))
    times: dict[str, list[float]] = {title: [] for title in runs}
    for _ in range(arguments.rounds + 2):
        for title, run in runs.items():
            run()  # what the caches held was of another network
            start = time.perf_counter()
            run()
            times[title].append(time.perf_counter() - start)
    medians = {title: statistics.median(of_run[2:]) for title, of_run in times.items()}
    print("| | images a second | against timm |\n|---|---|---|")
    for title, median in medians.items():
        print(f"| {title} | {arguments.batch_size / median:.1f} | {medians['timm, eager'] / median:.2f} |")
    print(f"\n{product():.0f} GFLOP/s of a float32 matrix product, {torch.get_num_threads()} threads; {about()}")


def forward(network: torch.nn.Module, images: Tensor) -> Callable[[], Tensor]:
    @torch.inference_mode()
    def run() -> Tensor:
        return network(images)

    return run


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
    return f"{names[0] if names else platform.processor()}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
