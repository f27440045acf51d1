"""AP of the demo's Mask R-CNN with and without large-scale jitter and copy-paste, at the same number of steps.

    python benchmarks/augmentation.py [--iterations 460] [--scenes 1000] [--short-side 176] [--seeds 0 1 2] [--out runs]

It trains the recipe of `splitnest demo` once for each setting and seed, on the CPU, and prints the table of
``docs/training.md``: box AP and mask AP on the 60 validation scenes after the last step.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import splitnest
from splitnest.cli.commands.demo import RECIPE

JITTER: dict[str, Any] = {"type": "large_scale_jitter", "scale": [0.5, 2.0]}
SETTINGS: dict[str, list[Any]] = {
    "no list": [],
    "large-scale jitter": [JITTER],
    "large-scale jitter, copy-paste": [JITTER, "copy_paste"],
}
"""Name of a setting -> ``train.augment``."""


def main() -> None:
    """Train each setting with each seed, and print the metrics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=460)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--short-side", type=int, default=176)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--out", type=Path, default=Path("runs/augmentation"))
    args = parser.parse_args()
    long_side = args.short_side * 4 // 3
    values = {
        "data.train_count": args.scenes,
        "train.iterations": args.iterations,
        "input": {"short_side": args.short_side, "long_side": long_side},
        "train.short_sides": [args.short_side],
        "train.long_side": long_side,
        "train.workers": 0,
    }
    metrics: dict[str, list[tuple[float, float]]] = {name: [] for name in args.settings}
    for seed in args.seeds:
        for name in args.settings:
            out = args.out / f"{list(SETTINGS).index(name)}-{seed}"
            changes = {**values, "train.augment": SETTINGS[name], "train.seed": seed}
            run = splitnest.train(RECIPE, changes, out=out, device="cpu")
            metrics[name].append((100 * run.metrics["box_ap"], 100 * run.metrics["mask_ap"]))
            print(f"RESULT {name}, seed {seed}: box AP {metrics[name][-1][0]:.1f}, mask AP {metrics[name][-1][1]:.1f}")
    print("\n| `train.augment` | box AP of each seed | mean | mask AP of each seed | mean |\n|---|---|---|---|---|")
    for name, pairs in metrics.items():
        cells = [
            f"{', '.join(f'{value:.1f}' for value in column)} | {statistics.mean(column):.1f}"
            for column in zip(*pairs, strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
