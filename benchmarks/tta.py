"""Time and peak memory of test-time augmentation against the number of views.

Every view has the same size, so that nothing but their number grows. Bounds: time grows linearly, memory does not grow
once there are three views, which go through the network together. Each number of views runs in a process of its own.
Linux only on the CPU: the peak is ``VmHWM``.

    python benchmarks/tta.py [MODEL] [--views 1 3 6 12] [--short-side 400] [--device cpu]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

import splitnest
from splitnest.detection.rcnn import RCNN
from splitnest.inference.detection import LONG_SIDE, DetectionTTA
from splitnest.recipe import DetectionInput

PHOTOGRAPH = (480, 640)
"""Height and width of a usual photograph of COCO."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="mask_rcnn_resnest50_fpn_1x_coco.detectron2")
    parser.add_argument("--views", nargs="+", type=int, default=[1, 3, 6, 12])
    parser.add_argument("--short-side", type=int, default=400)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--measure", action="store_true", help="what each process does, for one number of views")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.model, arguments.views[0], arguments.short_side, arguments.device)))
        return
    print(f"{'views':<8}{'s':>8}{'s a view':>10}{'MB':>8}")
    for count in arguments.views:
        options = ["--views", str(count), "--short-side", str(arguments.short_side), "--device", arguments.device]
        command = [sys.executable, __file__, arguments.model, *options, "--measure"]
        seconds, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{count:<8}{seconds:>8.2f}{seconds / count:>10.2f}{peak / 1e6:>8.0f}")


def measure(model: str, count: int, short_side: int, device: str) -> tuple[float, int]:
    """Return the seconds of one photograph, and the bytes by which memory rose at most over the loaded network."""
    torch.manual_seed(0)
    predictor = splitnest.load(model, weights=None, device=device)
    assert isinstance(predictor.module, RCNN)
    assert isinstance(predictor.recipe.input, DetectionInput)
    predictor.module.post.score_threshold = (
        0.0  # an untrained network finds nothing over 0.05: no masks, no second pass
    )
    tta = DetectionTTA(predictor.module, predictor.recipe.input, [short_side] * count, LONG_SIDE, flip=False)
    image = np.random.default_rng(0).integers(0, 256, (*PHOTOGRAPH, 3), dtype=np.uint8)
    cuda = predictor.device.type == "cuda"
    if cuda:
        tta(image)  # compiles and chooses kernels
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if cuda else memory("VmRSS")
    start = time.perf_counter()
    tta(image)
    seconds = time.perf_counter() - start
    return seconds, (torch.cuda.max_memory_allocated() if cuda else memory("VmHWM")) - before


def memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
