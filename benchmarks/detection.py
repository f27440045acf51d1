"""From an image file to results: Mask R-CNN ResNeSt-50-FPN against detectron2, in turn in one process.

    python benchmarks/detection.py [--rounds 9] [--image FILE]

``detectron2_peer.py`` says what to install. The image, by default a synthetic scene, has 640x480 pixels and is resized
to 800x1066. Weights are those of the parity tests, which give 100 detections with masks. It prints the table of
``docs/performance.md``: medians, and ratios of medians.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from detectron2_peer import NAME, checkpoint, load_peer, peer_config
from measuring import in_turn, machine, matmul_gflops, variants

from splitnest.cli.timing import bench_sources

PEER = "detectron2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--image")
    arguments = parser.parse_args()
    sources = [arguments.image] if arguments.image else None
    with tempfile.TemporaryDirectory() as folder, bench_sources(sources) as (image,):
        runs = detectors(checkpoint(Path(folder)), image)
        medians = in_turn(runs, arguments.rounds)
        counts = {title: run() for title, run in runs.items()}
    print("| | seconds | against detectron2 | detections |\n|---|---|---|---|")
    for title, median in medians.items():
        print(f"| {title} | {median:.2f} | {median / medians[PEER]:.2f} | {counts[title]} |")
    print(f"\n{matmul_gflops():.0f} GFLOP/s of a float32 matrix product; {machine()}")


def detectors(weights: Path, image: str | Path) -> dict[str, Callable[[], int]]:
    """Return title -> function that predicts for the image and returns the number of detections."""
    from detectron2.data.detection_utils import read_image
    from detectron2.engine import DefaultPredictor

    peer = DefaultPredictor(peer_config())
    load_peer(peer.model, weights)
    runs: dict[str, Callable[[], int]] = {
        PEER: lambda: len(peer(read_image(str(image), "BGR"))["instances"]),
    }
    for title, model in variants(NAME, weights).items():
        runs[title] = lambda model=model: len(model.predict(image)[0].masks)
    return runs


if __name__ == "__main__":
    main()
