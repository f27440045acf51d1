"""Memory of computing labels from logits: a few rows at a time, against all logits at full resolution.

    python benchmarks/segmentation_memory.py

Logits of a network have 1/64 of the pixels, of DeepLabV3+ 1/16. Each case runs in a process of its own. It prints the
increase of the peak resident memory, and the time.
"""

import multiprocessing
import resource
import time

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.models.layers.logit_rows import best_classes, resized, whole

CASES = {
    "Cityscapes, 2048x1024, one view": (19, (1024, 2048), 1, 8),
    "Cityscapes, 2048x1024, one view, DeepLabV3+": (19, (1024, 2048), 1, 4),
    "Cityscapes, 2048x1024, 12 views": (19, (1024, 2048), 12, 8),
    "Cityscapes, 2048x1024, 12 views, DeepLabV3+": (19, (1024, 2048), 12, 4),
    "ADE20K, 683x512, one view": (150, (512, 683), 1, 8),
    "ADE20K, 683x512, 12 views": (150, (512, 683), 12, 8),
}
"""Title -> number of classes, (height, width), number of views, and stride of the logits."""


def by_rows(views: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Return the labels as splitnest does."""
    return best_classes([resized(whole(view), size) for view in views])


def at_once(views: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Return the labels from all scores at full resolution."""
    full = (F.interpolate(view[None], size=size, mode="bilinear", align_corners=False)[0] for view in views)
    if len(views) == 1:
        return next(full).argmax(0)
    total = next(full).softmax(0)
    for logits in full:
        total += logits.softmax(0)
    return total.argmax(0)


def measure(method: str, case: str) -> tuple[float, float]:
    """Return the increase of the peak memory in MB, and seconds."""
    num_classes, size, num_views, stride = CASES[case]
    torch.manual_seed(0)
    views = [torch.randn(num_classes, size[0] // stride, size[1] // stride) for _ in range(num_views)]
    run = {"rows": by_rows, "whole": at_once}[method]
    run([view[:, :8, :8] for view in views], (64, 64))  # memory that libraries allocate at first use
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    run(views, size)
    seconds = time.perf_counter() - start
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, seconds


def main() -> None:
    """Print a table."""
    context = multiprocessing.get_context("spawn")
    print(f"{'':44} {'rows':>18} {'whole':>18}")
    for case in CASES:
        cells = []
        for method in ("rows", "whole"):
            with context.Pool(1) as pool:
                megabytes, seconds = pool.apply(measure, (method, case))
            cells.append(f"{megabytes:8.0f} MB {seconds:5.2f} s")
        print(f"{case:44} {cells[0]:>18} {cells[1]:>18}")


if __name__ == "__main__":
    main()
