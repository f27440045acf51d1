"""Command ``train``: training of a model by its recipe."""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitnest.cli.options import As, Config, Device, Overrides
from splitnest.errors import UsageError

if TYPE_CHECKING:
    from splitnest.training.run_folder import Run

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
            help="Recipe file (.yaml), name of a published model, checkpoint, or dataset (see 'splitnest new'); to "
            "resume, a run folder or a file in it.",
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
    from splitnest.recipe.overrides import parse
    from splitnest.training import train as training
    from splitnest.training.starting_recipe.from_data import is_dataset

    values = parse(overrides or [])
    if not resume and name is None and config is None and is_dataset(recipe):
        if is_launched():
            raise UsageError(f"{recipe} is a dataset. Write its recipe first: splitnest new {recipe}.")
        _train_on_data(recipe, values, dry_run, out, device, devices)
        return
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
    _tell_run(run)


def _train_on_data(
    data: str, values: dict[str, Any], dry_run: bool, out: Path | None, device: str, devices: int
) -> None:
    """Write a recipe for a dataset into a new run folder, and train by it."""
    from splitnest.distributed import launch
    from splitnest.training import train as training
    from splitnest.training.starting_recipe.from_data import recipe_in_run_folder

    if dry_run:
        with TemporaryDirectory() as temporary:
            recipe, _ = recipe_in_run_folder(data, Path(temporary) / "run")
            print(training.plan(recipe, values, device=device, devices=devices))
        return
    recipe, folder = recipe_in_run_folder(data, out)
    if devices > 1:
        arguments = [str(recipe) if argument == data else argument for argument in _without_devices(sys.argv[1:])]
        launch(devices, arguments if out is not None else [*arguments, "--out", str(folder)])
        return
    _tell_run(training.train(recipe, values, out=folder, device=device))


def _tell_run(run: "Run") -> None:
    from splitnest.metrics.evaluator import readable

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
