"""Command ``eval``: metrics of a model on its validation dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitnest.cli.json_output import print_json, text_to_stderr
from splitnest.cli.options import (
    As,
    BatchSize,
    Compile,
    Config,
    Device,
    Fast,
    Json,
    Model,
    Overlap,
    Overrides,
    Precision,
    Tiles,
    Tta,
    Weights,
    named,
    tile_size,
)
from splitnest.errors import printable

if TYPE_CHECKING:
    from splitnest.evaluation.evaluate import Evaluation
    from splitnest.inference.predictor import Predictor
    from splitnest.recipe import Recipe

EXAMPLE = "Example: splitnest eval mask_rcnn_resnest50_fpn_1x_coco.mmdet data.root=/data/coco"

MAX_CLASSES, NUM_LOWEST = 200, 25
"""Number of classes up to which each has a row; of more, this number with the lowest metric is shown."""


def evaluate(
    model: Model,
    overrides: Overrides = None,
    weights: Weights = "auto",
    config: Config = None,
    name: As = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="File of all results in COCO's format; for semantic segmentation a folder of label maps, for "
            "classification a folder of predictions, confusion matrix and worst mistakes."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a report: a page that says where the model fails, and its numbers. 'splitnest compare' "
            "takes two of them."
        ),
    ] = None,
    slice: Annotated[
        Path | None,
        typer.Option(
            help="CSV file of parts of the dataset, whose metrics the report shows: a column file_name, and one for "
            "each slice with 1 and 0, or with values that name the slices."
        ),
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(help="Output folder of 'splitnest scan' with results of this model, instead of predicting."),
    ] = None,
    batch_size: BatchSize = 1,
    workers: Annotated[int, typer.Option(min=0, help="Number of data loading processes.")] = 0,
    tta: Tta = False,
    tile: Tiles = None,
    overlap: Overlap = None,
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
    compile: Compile = False,
    json: Json = False,
) -> None:
    """Evaluate a model on its validation dataset by the published protocol."""
    from splitnest.distributed import is_main_process, process_group
    from splitnest.evaluation.evaluate import run_evaluation
    from splitnest.evaluation.report.files import REPORT_FILE
    from splitnest.inference.load import load
    from splitnest.inference.resolve import resolve
    from splitnest.recipe.overrides import parse
    from splitnest.tasks import task_of

    size, values = tile_size(tile), parse(overrides or [])
    with process_group():
        given: Predictor | Recipe
        if predictions is not None:
            given, _ = resolve(name or model, values, config)
        else:
            options: dict[str, Any] = {"fast": fast, "precision": precision, "compile": compile}
            given = load(*named(model, name, weights), device, values, config=config, **options)
        inputs = [path for path in (model, name, weights, config) if path is not None]
        evaluation = run_evaluation(
            given,
            tta=tta,
            batch_size=batch_size,
            workers=workers,
            results=results,
            inputs=inputs,
            report=report,
            slices=slice,
            tile=size,
            overlap=overlap,
            predictions=predictions,
        )
        if not is_main_process():
            return
    if json:
        print_json(_facts(evaluation))
    else:
        print_evaluation(evaluation, tta)
    if results is None and not evaluation.metrics:
        recipe = evaluation.recipe
        results = Path(f"{recipe.name}_results{task_of(recipe).results_suffix}")
    if results is not None:
        evaluation.evaluator.write(results)
    with text_to_stderr(json):
        if results is not None:
            print(f"results written to {results}")
        if report is not None:
            print(f"report: {printable(report / REPORT_FILE)}")


def _facts(evaluation: "Evaluation") -> dict[str, Any]:
    """Return metrics from 0 to 1, -1 where undefined; published ones in percent."""
    from splitnest.evaluation.published import published_columns

    return {
        "model": evaluation.recipe.name,
        "data": str(evaluation.dataset.source),
        "num_images": len(evaluation.dataset),
        "metrics": evaluation.metrics,
        "per_class": evaluation.per_class,
        "published_percent": published_columns(evaluation.recipe, evaluation.metrics),
    }


def print_evaluation(evaluation: "Evaluation", tta: bool = False) -> None:
    """Print the metrics in percent, beside them those that were published, and those of each class."""
    from rich.console import Console
    from rich.table import Table

    from splitnest.evaluation.published import published_columns
    from splitnest.metrics.evaluator import readable

    recipe, console = evaluation.recipe, Console(soft_wrap=True, markup=False)
    if not evaluation.metrics:
        console.print(
            "The dataset has no annotations, as for a test set, so no metrics can be computed. Upload the results to "
            "the evaluation server."
        )
        return
    columns = published_columns(recipe, evaluation.metrics)
    table = Table("metric", "measured, with TTA" if tta else "measured", *columns, title=f"{recipe.name}, in percent")
    for key, value in evaluation.metrics.items():
        table.add_row(key, readable(key, value), *(f"{of[key]:g}" if key in of else "" for of in columns.values()))
    console.print(table)
    if evaluation.per_class:
        console.print(_class_table(evaluation.per_class))


def _class_table(per_class: dict[str, dict[str, float]]) -> Any:
    from rich.table import Table

    from splitnest.metrics.evaluator import percent

    metrics = dict.fromkeys(name for values in per_class.values() for name in values)
    rows, title = list(per_class.items()), "per class, in percent"
    if len(rows) > MAX_CLASSES:
        first = next(iter(metrics))
        rows = sorted((row for row in rows if row[1].get(first, -1) >= 0), key=lambda row: row[1][first])[:NUM_LOWEST]
        title = f"per class, in percent: the {len(rows)} of {len(per_class)} with the lowest {first}"
    table = Table("class", *metrics, title=title)
    for name, values in rows:
        table.add_row(printable(name), *(percent(values[metric]) if metric in values else "" for metric in metrics))
    return table
