"""The command line. Each verb calls one public function; errors are plain sentences with an exit code."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from splitnest.errors import DataError, Interrupted, SplitnestError, UsageError

app = typer.Typer(
    help="Every published ResNeSt model, on today's PyTorch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

data_app = typer.Typer(help="Data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Weights = Annotated[
    str, typer.Option(help="A checkpoint of any layout; 'auto' is the published file, 'none' an untrained network.")
]
Tta = Annotated[
    bool, typer.Option("--tta", help="Test-time augmentation, one image at a time: several sizes and mirror images.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
Fast = Annotated[
    bool, typer.Option("--fast", help="Fold and fuse layers for prediction: as exact as float32 is, and quicker.")
]
Precision = Annotated[
    str, typer.Option(help="fp32, or bf16 or fp16 where the device is quicker at it, with a small loss of accuracy.")
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the network with torch.compile, which takes minutes at the start.")
]
Values = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Values of the recipe, by dotted key.")
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, a recipe (.yaml) or our own checkpoint.")]

_state = {"debug": False}


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Every published ResNeSt model, on today's PyTorch."""
    _state["debug"] = debug


def main() -> None:
    """Run the command line: 0 done, 2 wrong usage or recipe, 3 bad data, 4 weights that do not fit, 75 interrupted."""
    try:
        app()
    except Interrupted as stop:
        if _rank() == 0:
            print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
    except SplitnestError as error:
        if _state["debug"]:
            raise
        number = _rank()
        if number == 0 or not isinstance(error, UsageError):  # what is wrong for all is said once
            print(f"error in process {number}: {error}" if number else f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: `splitnest list | head`


@app.command("list", epilog="Example: splitnest list --task instance '*resnest50*'")
def list_(
    pattern: Annotated[str, typer.Argument(help="Names with the wildcards *, ? and [...].")] = "*",
    task: Annotated[
        str | None, typer.Option(help="classification, detection, instance, panoptic, semantic or pose.")
    ] = None,
) -> None:
    """List the published models."""
    from splitnest import recipes

    for name in recipes.names(task, pattern):
        print(f"{recipes.TASK_OF[name]:<15} {name}")


@app.command(epilog="Example: splitnest info mask_rcnn_resnest50_fpn_1x_coco.mmdet")
def info(model: Model) -> None:
    """Show what is known of a model: size, cost, published numbers, weights, conventions."""
    from splitnest.console import print_info
    from splitnest.resolve import resolve

    recipe, _ = resolve(model)
    print_info(recipe)


@app.command(
    epilog="Example: splitnest predict mask_rcnn_resnest50_fpn_1x_coco.mmdet photographs/ --out predictions. "
    "Poses: splitnest predict simplebaseline_resnest50_256x192_coco photographs/ --boxes people.json"
)
def predict(
    model: Model,
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Files, folders, globs or URLs.")],
    weights: Weights = "auto",
    out: Annotated[Path, typer.Option(help="Folder for the annotated pictures.")] = Path("predictions"),
    json: Annotated[
        Path | None, typer.Option(help="File for all results; results.json in the folder if left out.")
    ] = None,
    score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Draw detections and people from this score on.")
    ] = 0.5,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images, or people, that go through the network together.")
    ] = 1,
    tta: Tta = False,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Where people are, for a pose estimator: COCO detection results, or a detector's results.json."
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Who finds people for a pose estimator: a detector's name or our own checkpoint.")
    ] = None,
    detector_weights: Annotated[str, typer.Option(help="Weights of the detector, as --weights.")] = "auto",
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
    compile: Compile = False,
) -> None:
    """Predict for photographs; write annotated pictures and one JSON file. A failed image is named and skipped."""
    from splitnest.pictures import write_predictions
    from splitnest.predictor import load

    how: dict[str, Any] = {"device": device, "fast": fast, "precision": precision, "compile": compile}
    predictor = load(model, _weights(weights), **how)
    failed = write_predictions(
        predictor,
        sources,
        out,
        json or out / "results.json",
        score,
        batch_size=batch_size,
        tta=tta,
        boxes_xywh=boxes,
        detector=None if detector is None else load(detector, _weights(detector_weights), **how),
    )
    if failed:
        raise DataError(f"{len(failed)} of the images could not be read: {', '.join(failed[:5])}; see above.")


@app.command("eval", epilog="Example: splitnest eval mask_rcnn_resnest50_fpn_1x_coco.mmdet data.root=/data/coco")
def eval_(
    model: Model,
    values: Values = None,
    weights: Weights = "auto",
    results: Annotated[
        Path | None,
        typer.Option(
            help="File for all results, in COCO's result format; of a segmentor a folder for its label maps, of a "
            "classifier one for its guesses, the confusion matrix and the worst mistakes."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that go through the network together.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images.")] = 0,
    tta: Tta = False,
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
    compile: Compile = False,
) -> None:
    """Evaluate a model on its validation data by the published protocol."""
    from splitnest.console import print_evaluation
    from splitnest.evaluator import run
    from splitnest.predictor import load
    from splitnest.processes import is_first, together
    from splitnest.recipe.overrides import parse

    with together():
        how: dict[str, Any] = {"fast": fast, "precision": precision, "compile": compile}
        predictor = load(model, _weights(weights), device, parse(values or []), **how)
        if predictor.recipe.task == "panoptic" and results is not None and results.suffix != ".json":
            raise UsageError(
                f"--results {results}: panoptic results are a file that ends in .json and a folder beside it."
            )
        found = run(predictor, tta=tta, batch_size=batch_size, workers=workers)
        if not is_first():
            return
    print_evaluation(predictor.recipe, found, tta)
    if results is None and not found.metrics:
        ending = "" if predictor.recipe.task in ("semantic", "classification") else ".json"
        results = Path(f"{predictor.recipe.name}_results{ending}")
    if results is not None:
        found.evaluator.write(results)
        print(f"results written to {results}")


@app.command(
    epilog="Example: splitnest train mask_rcnn_resnest50_fpn_1x_coco.mmdet data.root=/data/coco train.length=6"
)
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe (.yaml), a model's name, our own checkpoint to go out from, or a run's folder to resume.",
        ),
    ],
    values: Values = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on behind the last checkpoint of a run.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print recipe, data, schedule and memory; do not train.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; one in runs/, named after recipe and time, if left out.")
    ] = None,
    device: Device = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="Processes on this machine, one a GPU; without GPUs on the CPU.")
    ] = 1,
) -> None:
    """Train a model by its recipe; the folder of the run gets checkpoints, metrics, curves and predictions."""
    from splitnest import trainer
    from splitnest.recipe.overrides import parse

    if dry_run:
        print(trainer.plan(recipe, parse(values or [])))
        return
    if devices > 1:
        from splitnest.launch import launch

        launch(devices, sys.argv[1:])
        return
    run = trainer.train(recipe, parse(values or []), resume, out=out, device=device)
    if _rank():
        return
    print(f"last checkpoint: {run.last}")
    if run.best is not None:
        name, value = next(iter(run.metrics.items()))
        print(f"best checkpoint: {run.best}, {name} {value:.3f}")


@app.command(
    epilog="Example: splitnest convert s50.pth --model mask_rcnn_resnest50_fpn_1x_coco.mmdet --out s50.safetensors"
)
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A checkpoint of any layout.")],
    model: Annotated[str, typer.Option(help="The model that it belongs to.")],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
) -> None:
    """Convert a checkpoint into safetensors that carries its recipe."""
    from splitnest.conversion import convert as run

    print(run(source, model, out))
    print(f"written to {out}")


@app.command(epilog="Example: splitnest export mask_rcnn_resnest50_fpn_1x_coco.mmdet --out mask_rcnn.onnx")
def export(
    model: Model,
    out: Annotated[Path, typer.Option(help="The file to write: .onnx, or .pt2 of torch.export.")],
    values: Values = None,
    weights: Weights = "auto",
) -> None:
    """Export a network to ONNX or torch.export's format, once its outputs were seen to be those of the model."""
    from splitnest.exporter import export as run
    from splitnest.predictor import load
    from splitnest.recipe.overrides import parse

    path = run(load(model, _weights(weights), "cpu", parse(values or [])), out)
    print(f"written to {path}, {path.stat().st_size / 1e6:.1f} MB; its outputs are those of the model")


@app.command(
    epilog="Example: splitnest bench mask_rcnn_resnest50_fpn_1x_coco.mmdet --fast photograph.jpg. "
    "Against a peer: splitnest bench resnest50d_imagenet.timm --batch-size 8 --fast --against timm"
)
def bench(
    model: Model,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="Files, folders, globs or URLs; a drawn photograph if left out."),
    ] = None,
    weights: Annotated[str, typer.Option(help="As of predict; an untrained network is as quick as a trained one.")] = (
        "none"
    ),
    batch_size: Annotated[int, typer.Option(min=1, help="Images that go through the network together.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Batches that are timed.")] = 10,
    against: Annotated[str | None, typer.Option(help="timm: time its network of the same name in turn.")] = None,
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
    compile: Compile = False,
) -> None:
    """Time a model on this machine, from files to results: images a second, latency, stages, memory."""
    from splitnest.bench import bench as run
    from splitnest.bench import photographs
    from splitnest.console import print_timing
    from splitnest.predictor import load

    predictor = load(model, _weights(weights), device, fast=fast, precision=precision, compile=compile)
    with photographs(sources) as files:
        timing = run(predictor, files, batch_size=batch_size, rounds=rounds, against=against)
    print_timing(predictor, timing)


@data_app.command(
    "check", epilog="Example: splitnest data check mask_rcnn_resnest50_fpn_1x_coco.mmdet data.root=/data/coco"
)
def data_check(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe (.yaml) or a model's name.")],
    values: Values = None,
    split: Annotated[str | None, typer.Option(help="train or val; both if left out.")] = None,
) -> None:
    """Look a data set over: counts, sizes, what is odd, and what would stop a training."""
    from splitnest.console import print_data_check
    from splitnest.recipe.overrides import parse

    print_data_check(recipe, parse(values or []), split)


@app.command(epilog="Example: splitnest doctor")
def doctor() -> None:
    """Check this installation: versions, devices, compiled operators, cache, extras."""
    from splitnest.doctor import examine

    if not examine():
        sys.exit(1)


@app.command(epilog="Example: splitnest demo --out demo")
def demo(out: Annotated[Path, typer.Option(help="Folder for the run and its pictures.")] = Path("demo")) -> None:
    """Run the main job on generated scenes: train a small Mask R-CNN from nothing, evaluate it, predict."""
    from splitnest.demo import run

    run(out)


def _rank() -> int:
    """Return which of the processes that ``torchrun`` started this is, without importing torch."""
    return int(os.environ.get("RANK", "0"))


def _weights(option: str) -> str | None:
    return None if option == "none" else option
