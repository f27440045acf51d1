"""Command ``train``: training of a model by its recipe."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from splitnest.cli.options import As, Config, Device, Overrides

EXAMPLE = "Example: splitnest train mask_rcnn_resnest50_fpn_1x_coco.mmdet data.root=/data/coco train.epochs=6"

HELP = """\
Train a model by its recipe; the run folder gets checkpoints, metrics, curves and predictions.

\b
Keys that most runs change:
  data.root=/data/fruit          folder of the dataset
  "data.classes=\\[apple, pear]"   names of the classes
  train.epochs=12                length; or train.iterations
  train.batch_size=4             images of a step, of all processes together
  train.lr=0.005                 learning rate, in proportion to the batch
"""


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="Recipe file (.yaml), name of a published model, or checkpoint; to resume, a run folder or a file in "
            "it.",
        ),
    ],
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a run from its last checkpoint.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check and print recipe, data, schedule, weights and memory without training."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default one in runs/, named after recipe and time.")
    ] = None,
    config: Config = None,
    name: As = None,
    device: Device = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="Number of processes on this machine, one for each GPU, or on the CPU.")
    ] = 1,
) -> None:
    """Train a model by its recipe; the run folder gets checkpoints, metrics, curves and predictions."""
    from splitnest.distributed import is_launched, launch, local_rank
    from splitnest.metrics.evaluator import readable
    from splitnest.recipe.overrides import parse
    from splitnest.training import train as training

    values = parse(overrides or [])
    if name is not None:
        recipe, values = name, {"train.init_from": recipe, **values}
    if dry_run:
        print(training.plan(recipe, values, resume, out=out, device=device, devices=devices, config=config))
        return
    if devices > 1:
        launch(devices, _without_devices(sys.argv[1:]))
        return
    run = training.train(recipe, values, resume, out=out, device=device, config=config)
    if is_launched() and local_rank():
        return
    print(f"last checkpoint: {run.last}")
    if run.best is not None:
        name, value = next(iter(run.metrics.items()))
        print(f"best checkpoint: {run.best}, {name} {readable(name, value)}")


def _without_devices(arguments: Sequence[str]) -> list[str]:
    """Return command line arguments without the option ``--devices`` and its value."""
    kept, is_value = [], False
    for argument in arguments:
        if not is_value and argument != "--devices" and not argument.startswith("--devices="):
            kept.append(argument)
        is_value = argument == "--devices"
    return kept
