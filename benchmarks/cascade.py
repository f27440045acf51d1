"""AP of a small Cascade Mask R-CNN against Mask R-CNN on synthetic scenes: equal iterations, several seeds.

Mask R-CNN is that of the demo, ``src/splitnest/cli/scenes.yaml``; the cascade is ``examples/scenes_cascade.yaml``.
Seeds change weights, order and sampling, not the scenes. A run whose folder exists is not trained again.

    python benchmarks/cascade.py [--iterations 460] [--seeds 0 1 2] [--jobs 1] [--out runs/cascade]
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
from splitnest.cli.commands.demo import RECIPE
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.metrics.coco import PREFIXES, CocoEvaluator

RECIPES = {"plain": RECIPE, "cascade": Path(__file__).parents[1] / "examples" / "scenes_cascade.yaml"}
COLUMNS = ("box_ap", "box_ap75", "box_ap85", "mask_ap", "mask_ap75", "mask_ap85")

Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--iterations", type=int, default=460)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="parallel trainings; set OMP_NUM_THREADS=1 for several")
    parser.add_argument("--out", type=Path, default=Path("runs/cascade"))
    parser.add_argument("--measure", choices=RECIPES, help="run one training in this process")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.seeds[0], arguments.iterations, arguments.out)))
        return
    runs = [(model, seed) for seed in arguments.seeds for model in RECIPES]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(lambda run: in_process(run[0], run[1], arguments.iterations, arguments.out), runs))
    print(table(dict(zip(runs, rows, strict=True))))


def in_process(model: str, seed: int, iterations: int, out: Path) -> Row:
    options = ["--seeds", str(seed), "--iterations", str(iterations), "--out", str(out), "--measure", model]
    done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    print(f"{model}, seed {seed}: {row}", file=sys.stderr, flush=True)
    return row


def measure(model: str, seed: int, iterations: int, out: Path) -> Row:
    """Train unless the run exists, and return the average precisions on the validation scenes."""
    folder = out / f"{model}-{iterations}-{seed}"
    if not (folder / "last.pt").exists():
        splitnest.train(RECIPES[model], {"train.seed": seed, "train.iterations": iterations}, out=folder)
    evaluation = run_evaluation(folder / "last.pt")
    assert isinstance(evaluation.evaluator, CocoEvaluator)
    at_85 = {f"{prefix}_ap85": evaluation.evaluator.average_precision(kind, 0.85) for kind, prefix in PREFIXES.items()}
    return {name: (evaluation.metrics | at_85)[name] for name in COLUMNS}


def table(rows: dict[tuple[str, int], Row]) -> str:
    """Return a Markdown table of the runs, then of the mean and standard deviation of each model over its seeds."""
    lines = [["model", "seed", *(name.replace("_ap", " AP") for name in COLUMNS)], ["---"] * (2 + len(COLUMNS))]
    for model in RECIPES:
        of_model = {seed: row for (name, seed), row in rows.items() if name == model}
        lines += [[model, str(seed), *(f"{100 * row[name]:.1f}" for name in COLUMNS)] for seed, row in of_model.items()]
    for model in RECIPES:
        columns = [[row[column] for (name, _), row in rows.items() if name == model] for column in COLUMNS]
        lines.append([model, "mean ± deviation", *map(spread, columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * deviation:.1f}"


if __name__ == "__main__":
    main()
