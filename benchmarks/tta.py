"""Time and peak memory of test-time augmentation against the number of views.

All views have one size, so that only their number grows. Bounds: time grows linearly; memory does not grow beyond three
views, which are one batch. Each number of views runs in a process of its own. On the CPU Linux only: the peak is
``VmHWM``.

    python benchmarks/tta.py [MODEL] [--views 1 3 6 12] [--short-side 400] [--device cpu]
"""

import argparse
import json
import subprocess
import sys
import time

import numpy as np
import torch
from measuring import peak_memory, reset_peak

import splitnest
from splitnest.inference.detection_tta import LONG_SIDE, DetectionTTA
from splitnest.models.detection.rcnn import RCNN
from splitnest.recipe import DetectionInput

SIZE_HW = (480, 640)
"""Typical height and width of an image of COCO."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="mask_rcnn_resnest50_fpn_1x_coco.detectron2")
    parser.add_argument("--views", nargs="+", type=int, default=[1, 3, 6, 12])
    parser.add_argument("--short-side", type=int, default=400)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--measure", action="store_true", help="measure one number of views in this process")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.model, arguments.views[0], arguments.short_side, arguments.device)))
        return
    print(f"{'views':<8}{'s':>8}{'s/view':>10}{'MB':>8}")
    for count in arguments.views:
        options = ["--views", str(count), "--short-side", str(arguments.short_side), "--device", arguments.device]
        command = [sys.executable, __file__, arguments.model, *options, "--measure"]
        seconds, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{count:<8}{seconds:>8.2f}{seconds / count:>10.2f}{peak / 1e6:>8.0f}")


def measure(model: str, count: int, short_side: int, device: str) -> tuple[float, int]:
    """Return the seconds for one image, and the increase of the peak memory in bytes after the network was loaded."""
    torch.manual_seed(0)
    predictor = splitnest.load(model, weights=None, device=device)
    assert isinstance(predictor.module, RCNN)
    assert isinstance(predictor.recipe.input, DetectionInput)
    # The scores of an untrained network are under 0.05: without detections there are no masks and no second pass.
    predictor.module.post.score_threshold = 0.0
    tta = DetectionTTA(predictor.module, predictor.recipe.input, [short_side] * count, LONG_SIDE, flip=False)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
    if predictor.device.type == "cuda":
        tta(image)  # compiles and selects kernels
    before = reset_peak(predictor.device)
    start = time.perf_counter()
    tta(image)
    seconds = time.perf_counter() - start
    return seconds, peak_memory(predictor.device) - before


if __name__ == "__main__":
    main()
