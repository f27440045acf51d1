"""From a photograph's file to results: Mask R-CNN ResNeSt-50-FPN against detectron2, in turn in one process.

    python benchmarks/detection.py [--rounds 9] [--photograph FILE]

``detectron2_peer.py`` says what to install. The photograph, drawn if none is given, is of 640x480 pixels and seen at
800x1066; weights are those of the parity tests, which find 100 objects, with masks. Printed is the table of
``docs/performance.md``: medians, and ratios of medians.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from classification import about, product
from detectron2_peer import NAME, checkpoint, load_peer, peer_config
from PIL import Image

import splitnest
from splitnest.data.scenes import Scenes
from splitnest.errors import UsageError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--photograph", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photograph = arguments.photograph or draw(Path(folder) / "drawn.jpg")
        runs = contestants(checkpoint(Path(folder)), photograph)
        times: dict[str, list[float]] = {title: [] for title in runs}
        for _ in range(arguments.rounds + 1):
            for title, run in runs.items():
                start = time.perf_counter()
                run()
                times[title].append(time.perf_counter() - start)
        counts = {title: run() for title, run in runs.items()}
    medians = {title: statistics.median(of_run[1:]) for title, of_run in times.items()}
    print("| | seconds | against detectron2 | detections |\n|---|---|---|---|")
    for title, median in medians.items():
        print(f"| {title} | {median:.2f} | {median / medians['detectron2']:.2f} | {counts[title]} |")
    print(f"\n{product():.0f} GFLOP/s of a float32 matrix product, {torch.get_num_threads()} threads; {about()}")


def contestants(weights: Path, photograph: Path) -> dict[str, Any]:
    """Return what is timed: each gives the number of detections."""
    from detectron2.data.detection_utils import read_image
    from detectron2.engine import DefaultPredictor

    peer = DefaultPredictor(peer_config())
    load_peer(peer.model, weights)
    runs: dict[str, Any] = {"detectron2": lambda: len(peer(read_image(str(photograph), "BGR"))["instances"])}
    for title, options in {
        "splitnest": {},
        "splitnest, fast": {"fast": True},
        "splitnest, fast, bf16": {"fast": True, "precision": "bf16"},
    }.items():
        try:
            model = splitnest.load(NAME, weights, "cpu", **options)
        except UsageError as error:
            print(f"{title}: left out. {error}")
            continue
        runs[title] = lambda model=model: len(model.predict(photograph)[0].masks)
    return runs


def draw(path: Path) -> Path:
    """Write a drawn photograph."""
    Image.fromarray(Scenes(1, (480, 640))[0].image).save(path, quality=92)
    return path


if __name__ == "__main__":
    main()
