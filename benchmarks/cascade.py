"""A small Cascade Mask R-CNN against a plain one on drawn scenes: equal steps, several seeds, average precision.

The plain one is the demo's, ``src/splitnest/recipes/scenes.yaml``; the other is ``examples/scenes_cascade.yaml``. Seeds
are those of weights, order and sampling; the scenes are the same. A run whose folder is there is not trained again.

    python benchmarks/cascade.py [--steps 460] [--seeds 0 1 2] [--jobs 1] [--out runs/cascade]
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import splitnest
from splitnest import evaluator
from splitnest.demo import RECIPE
from splitnest.evaluation.coco import PREFIXES, CocoEvaluator

RECIPES = {"plain": RECIPE, "cascade": Path(__file__).parents[1] / "examples" / "scenes_cascade.yaml"}
COLUMNS = ("box_ap", "box_ap75", "box_ap85", "mask_ap", "mask_ap75", "mask_ap85")

Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=460)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side; then set OMP_NUM_THREADS=1")
    parser.add_argument("--out", type=Path, default=Path("runs/cascade"))
    parser.add_argument("--measure", choices=RECIPES, help="what each process does, for one seed")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.seeds[0], arguments.steps, arguments.out)))
        return
    runs = [(model, seed) for seed in arguments.seeds for model in RECIPES]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(lambda run: in_process(run[0], run[1], arguments.steps, arguments.out), runs))
    print(table(dict(zip(runs, rows, strict=True))))


def in_process(model: str, seed: int, steps: int, out: Path) -> Row:
    options = ["--seeds", str(seed), "--steps", str(steps), "--out", str(out), "--measure", model]
    done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    print(f"{model}, seed {seed}: {row}", file=sys.stderr, flush=True)
    return row


def measure(model: str, seed: int, steps: int, out: Path) -> Row:
    """Train where that was not done before, and return the average precisions on the scenes for validation."""
    folder = out / f"{model}-{steps}-{seed}"
    if not (folder / "last.pt").exists():
        splitnest.train(RECIPES[model], {"train.seed": seed, "train.length": steps}, out=folder)
    found = evaluator.run(folder / "last.pt")
    assert isinstance(found.evaluator, CocoEvaluator)
    at_85 = {f"{prefix}_ap85": found.evaluator.average_precision(kind, 0.85) for kind, prefix in PREFIXES.items()}
    return {name: (found.metrics | at_85)[name] for name in COLUMNS}


def table(rows: dict[tuple[str, int], Row]) -> str:
    """Return a Markdown table: every run, then the mean of each model and the standard deviation of its seeds."""
    lines = [["model", "seed", *(name.replace("_ap", " AP") for name in COLUMNS)], ["---"] * (2 + len(COLUMNS))]
    for model in RECIPES:
        of_model = {seed: row for (name, seed), row in rows.items() if name == model}
        lines += [[model, str(seed), *(f"{row[name]:.3f}" for name in COLUMNS)] for seed, row in of_model.items()]
    for model in RECIPES:
        columns = [[row[column] for (name, _), row in rows.items() if name == model] for column in COLUMNS]
        lines.append([model, "mean ± deviation", *map(spread, columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {deviation:.3f}"


if __name__ == "__main__":
    main()
