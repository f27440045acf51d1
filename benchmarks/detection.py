"""From a photograph's file to results: Mask R-CNN ResNeSt-50-FPN against detectron2, in turn in one process.

    python benchmarks/detection.py [--rounds 9] [--photograph FILE]

``detectron2_peer.py`` says what to install. The photograph, drawn if none is given, is of 640x480 pixels and seen at
800x1066; weights are those of the parity tests, which find 100 objects, with masks. Printed is the table of
``docs/performance.md``: medians, and ratios of medians.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from detectron2_peer import NAME, checkpoint, load_peer, peer_config
from measuring import about, in_turn, product, variants

from splitnest.bench import photographs

PEER = "detectron2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--photograph")
    arguments = parser.parse_args()
    given = [arguments.photograph] if arguments.photograph else None
    with tempfile.TemporaryDirectory() as folder, photographs(given) as (photograph,):
        runs = contestants(checkpoint(Path(folder)), photograph)
        medians = in_turn(runs, arguments.rounds)
        counts = {title: run() for title, run in runs.items()}
    print("| | seconds | against detectron2 | detections |\n|---|---|---|---|")
    for title, median in medians.items():
        print(f"| {title} | {median:.2f} | {median / medians[PEER]:.2f} | {counts[title]} |")
    print(f"\n{product():.0f} GFLOP/s of a float32 matrix product; {about()}")


def contestants(weights: Path, photograph: str | Path) -> dict[str, Callable[[], int]]:
    """Return what is timed: each gives the number of detections."""
    from detectron2.data.detection_utils import read_image
    from detectron2.engine import DefaultPredictor

    peer = DefaultPredictor(peer_config())
    load_peer(peer.model, weights)
    runs: dict[str, Callable[[], int]] = {
        PEER: lambda: len(peer(read_image(str(photograph), "BGR"))["instances"]),
    }
    for title, model in variants(NAME, weights).items():
        runs[title] = lambda model=model: len(model.predict(photograph)[0].masks)
    return runs


if __name__ == "__main__":
    main()
