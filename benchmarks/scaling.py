"""Growth of time and memory with pixels, with the batch size, and with the views of test-time augmentation.

    python benchmarks/scaling.py [--rounds 3]

Pixels: Mask R-CNN ResNeSt-50 on images of 0.1 to 8 megapixels, without resizing, with 100 detections encoded as RLE.
Images: ResNeSt-50 at 224x224 with batches of 1 to 16. Views: the same detector at 0.15 megapixels with 1 to 12 views of
test-time augmentation. Each case runs in a process of its own. It prints the tables of ``docs/performance.md``: median
times, and the peak memory above that of the loaded model. Linux only.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2_peer import NAME, checkpoint
from measuring import machine, memory, reset_peak

import splitnest
from splitnest.data.scenes import Scenes

SIZES = {
    "0.1": (272, 368),
    "0.5": (608, 816),
    "1": (864, 1152),
    "2": (1216, 1632),
    "4": (1728, 2304),
    "8": (2448, 3264),
}
BATCHES = (1, 2, 4, 8, 16)
VIEWS = (1, 2, 4, 6, 12)

Run = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=3, metavar=("QUANTITY", "VALUE", "WEIGHTS"), help="case of one process")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, arguments.rounds)))
        return
    cases = {
        "megapixels": {name: height * width / 1e6 for name, (height, width) in SIZES.items()},
        "images": {str(count): count for count in BATCHES},
        "views": {str(count): count for count in VIEWS},
    }
    with tempfile.TemporaryDirectory() as folder:
        weights = checkpoint(Path(folder))
        for quantity, values in cases.items():
            print(f"| {quantity} | seconds | seconds for each | peak memory |\n|---|---|---|---|")
            for name, value in values.items():
                command = [sys.executable, __file__, "--rounds", str(arguments.rounds), "--measure"]
                done = subprocess.run([*command, quantity, name, str(weights)], check=True, stdout=subprocess.PIPE)
                seconds, peak = json.loads(done.stdout.splitlines()[-1])
                print(f"| {name} | {seconds:.2f} | {seconds / value:.3f} | {peak / 1e6:.0f} MB |", flush=True)
            print()
    print(machine())


def measure(quantity: str, value: str, weights: str, rounds: int) -> tuple[float, int]:
    """Return the median seconds and the peak bytes of a case."""
    run = {"megapixels": with_pixels, "images": with_images, "views": with_views}[quantity](value, weights)
    before = reset_peak(torch.device("cpu"))
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), memory("VmHWM") - before


def with_pixels(value: str, weights: str) -> Run:
    model = splitnest.load(NAME, weights, "cpu")
    image = Scenes(1, SIZES[value])[0].image

    def run() -> None:
        (detections,) = model.predict(image, resize=False)
        assert len(detections) == 100
        detections.to_coco(1)

    return run


def with_images(value: str, weights: str) -> Run:
    model = splitnest.load("resnest50_imagenet.official", None, "cpu")
    images = [np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)] * int(value)
    return lambda: model.predict(images, batch_size=int(value))


def with_views(value: str, weights: str) -> Run:
    from splitnest.inference.detection_tta import DetectionTTA
    from splitnest.recipe import DetectionInput

    model = splitnest.load(NAME, weights, "cpu")
    input_cfg: Any = model.recipe.input
    assert isinstance(input_cfg, DetectionInput)
    count = int(value)
    sides = [320] * max(count // 2, 1)
    tta = DetectionTTA(model.module, input_cfg, sides, 480, flip=count > 1, batch_size=1)  # type: ignore[arg-type]
    image = Scenes(1, (320, 480))[0].image
    return lambda: tta(image, resize=False)


if __name__ == "__main__":
    main()
