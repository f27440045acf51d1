"""How time and memory grow with pixels, with images of a batch, and with views.

    python benchmarks/scaling.py [--rounds 3]

Pixels: Mask R-CNN ResNeSt-50 on photographs of 0.1 to 8 megapixels, taken as they are, with 100 detections written as
RLE. Images: ResNeSt-50 at 224x224 with batches of 1 to 16. Views: the same detector at 0.15 megapixels with 1 to 12
views of test-time augmentation. Each case runs in a process of its own; printed are the tables of
``docs/performance.md``: medians, and the peak of the memory over what the loaded model takes. Linux only.
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
from measuring import about
from train_step import begin, memory

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
    parser.add_argument("--measure", nargs=3, metavar=("WHAT", "VALUE", "WEIGHTS"), help="what each process does")
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
        for what, values in cases.items():
            print(f"| {what} | seconds | seconds for each | peak memory |\n|---|---|---|---|")
            for name, value in values.items():
                command = [sys.executable, __file__, "--rounds", str(arguments.rounds), "--measure"]
                done = subprocess.run([*command, what, name, str(weights)], check=True, stdout=subprocess.PIPE)
                seconds, peak = json.loads(done.stdout.splitlines()[-1])
                print(f"| {name} | {seconds:.2f} | {seconds / value:.3f} | {peak / 1e6:.0f} MB |", flush=True)
            print()
    print(about())


def measure(what: str, value: str, weights: str, rounds: int) -> tuple[float, int]:
    """Return the median in seconds and the peak in bytes of a case."""
    run = {"megapixels": of_pixels, "images": of_images, "views": of_views}[what](value, weights)
    before = begin(torch.device("cpu"))
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), memory("VmHWM") - before


def of_pixels(value: str, weights: str) -> Run:
    model = splitnest.load(NAME, weights, "cpu")
    image = Scenes(1, SIZES[value])[0].image

    def run() -> None:
        (found,) = model.predict(image, resize=False)
        assert len(found) == 100
        found.to_coco(1)

    return run


def of_images(value: str, weights: str) -> Run:
    model = splitnest.load("resnest50_imagenet.official", None, "cpu")
    images = [np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)] * int(value)
    return lambda: model.predict(images, batch_size=int(value))


def of_views(value: str, weights: str) -> Run:
    from splitnest.inference.detection import DetectionTTA
    from splitnest.recipe import DetectionInput

    model = splitnest.load(NAME, weights, "cpu")
    facts: Any = model.recipe.input
    assert isinstance(facts, DetectionInput)
    count = int(value)
    sides = [320] * max(count // 2, 1)
    augmented = DetectionTTA(model.module, facts, sides, 480, flip=count > 1, batch_size=1)  # type: ignore[arg-type]
    image = Scenes(1, (320, 480))[0].image
    return lambda: augmented(image, resize=False)


if __name__ == "__main__":
    main()
