"""Evaluation of a model on its validation dataset by the published protocol."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from splitnest.data.dataset import ImageDataset
from splitnest.data.items import ImageSequence, Items
from splitnest.distributed import broadcast_from_main, is_main_process, process_group
from splitnest.errors import DataError, UsageError, tell
from splitnest.evaluation.predict_dataset import PredictImage, predict_dataset
from splitnest.evaluation.report.files import check_report_folder
from splitnest.evaluation.report.slices import read_slices
from splitnest.evaluation.report.write import ReportSource, write_report
from splitnest.evaluation.results_path import check_results
from splitnest.evaluation.scan_predictions import evaluate_scan
from splitnest.inference.load import load
from splitnest.inference.predictor import Predictor
from splitnest.inference.resolve import resolve
from splitnest.inference.tiles import Tile, TiledPrediction, check_tiling
from splitnest.inference.tta import published_tta
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.own import Metric, check_metrics
from splitnest.metrics.report.analysis import Slices
from splitnest.recipe import Keypoints, Recipe
from splitnest.recipe import overrides as recipe_overrides
from splitnest.tasks import task_of

MAX_PRINTED = 10
"""Number of anomalies of the annotations that are printed."""


class Evaluation(NamedTuple):
    """Metrics and results of an evaluation.

    Attributes:
        metrics: Metric name -> value from 0 to 1; empty for a dataset without annotations.
        per_class: Class name -> metric name -> value.
        evaluator: Evaluator with all results, which can write them.
        dataset: Evaluated dataset.
        recipe: Recipe of the model, with the overrides.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    evaluator: Evaluator
    dataset: ImageDataset
    recipe: Recipe


def evaluate(
    model: Predictor | str | Path,
    overrides: Mapping[str, Any] | None = None,
    tta: bool = False,
    *,
    data: ImageSequence | None = None,
    batch_size: int = 1,
    workers: int = 0,
    metrics: Sequence[Metric] = (),
    report: str | Path | None = None,
    slices: str | Path | None = None,
    tile: Tile | None = None,
    overlap: float | None = None,
    predictions: str | Path | None = None,
) -> dict[str, float]:
    """Return the metrics of a model on its validation dataset or on one from Python, from 0 to 1.

    If ``torchrun`` started several processes, each evaluates a share of the images, and all return the same metrics.

    Args:
        model: Predictor, or name or file for ``load``.
        overrides: Values of the recipe by dotted key; ``data.root`` is the folder of the dataset.
        tta: Whether to use the published test-time augmentation, one image at a time.
        data: Dataset from Python; None opens the validation dataset of the recipe.
        batch_size: Maximum number of images that are processed together.
        workers: Number of data loading processes; 0 loads in this process.
        metrics: Metrics of the user, whose values are added to those of the task.
        report: Folder that gets a report: a page that says where the model fails, and its numbers; None writes none.
        slices: CSV file of named parts of the dataset, whose metrics the report shows: a column ``file_name`` and one
            for each slice.
        tile: Side, or height and width, of the tiles in pixels that larger images are cut into, see
            ``Predictor.predict``; ``batch_size`` is then the number of tiles that are processed together.
        overlap: Overlap of neighboring tiles as a fraction of a tile, 0.2 by default.
        predictions: Output folder of ``scan`` with results of this model on the images; the network is not loaded. None
            predicts.

    Raises:
        UserCodeError: A metric raises an exception, or uses the name of another one.
        UsageError: ``data.root`` is not set, or ``tta`` is set for a model without test-time augmentation.
        DataError: The dataset cannot be read, has other classes than the model, or has no annotations.
        OutputError: The report cannot be written.
    """
    with process_group():
        evaluation = run_evaluation(
            model,
            overrides,
            tta,
            data=data,
            batch_size=batch_size,
            workers=workers,
            metrics=metrics,
            report=None if report is None else Path(report),
            slices=None if slices is None else Path(slices),
            tile=tile,
            overlap=overlap,
            predictions=predictions,
        )
    if not evaluation.metrics:
        raise DataError(
            "The dataset has no annotations, as for a test set, so no metrics can be computed. Give a dataset with "
            "annotations."
        )
    return evaluation.metrics


def run_evaluation(
    model: Predictor | Recipe | str | Path,
    overrides: Mapping[str, Any] | None = None,
    tta: bool = False,
    *,
    data: ImageSequence | None = None,
    batch_size: int = 1,
    workers: int = 0,
    results: Path | None = None,
    inputs: Sequence[str | Path] = (),
    metrics: Sequence[Metric] = (),
    report: Path | None = None,
    slices: Path | None = None,
    tile: Tile | None = None,
    overlap: float | None = None,
    predictions: str | Path | None = None,
) -> Evaluation:
    """Evaluate as ``evaluate`` does, and return all results, also for a dataset without annotations.

    ``model`` may be a recipe where ``predictions`` of it are given. In a process group the evaluator of the main
    process has all results. ``results`` is where they will be written: that they replace none of ``inputs`` and no file
    of others is checked before the evaluation. ``report`` is the folder that a report is written into, with the slices
    of the file ``slices``.
    """
    check_metrics(metrics)
    if slices is not None and report is None:
        raise UsageError("Slices are shown in a report. Give its folder too: --report DIR, report=DIR.")
    check_tiling(tile, overlap, tta)
    if isinstance(model, str | Path):
        model = load(model, overrides=overrides) if predictions is None else resolve(model, overrides)[0]
        overrides = None
    predict: Callable[..., Evaluator]
    if predictions is not None:
        if tta or tile is not None:
            raise UsageError(
                "Predictions are evaluated as they are. Give tta and tile to the scan, or omit predictions."
            )
        recipe = _recipe_of(model, overrides)
        predict = partial(evaluate_scan, predictions, recipe, metrics=metrics)
    else:
        assert isinstance(model, Predictor)
        recipe = _recipe_of(model, overrides)
        predict_image = _predict_image(model, recipe, tta, tile, overlap, batch_size)
        options: dict[str, Any] = {
            "batch_size": batch_size,
            "workers": workers,
            "predict_image": predict_image,
            "metrics": metrics,
        }
        predict = partial(predict_dataset, model.module, recipe, **options)
    task = task_of(recipe)
    if results is not None:
        task.check_results_path(results)
    dataset = task.open_dataset(recipe, "val") if data is None else task.wrap(Items(data, "data"), recipe)
    inputs = [*inputs, dataset.source, *dataset.inputs, *([] if slices is None else [slices])]
    if results is not None and is_main_process():
        check_results(task.result_files(results, dataset), inputs)
    members = _check_report(report, slices, dataset, inputs) if report is not None else {}
    _print_problems(dataset.problems)
    evaluator = predict(dataset=dataset)
    if not dataset.has_annotations:
        return Evaluation({}, {}, evaluator, dataset, recipe)
    computed = broadcast_from_main(lambda: (evaluator.compute(), evaluator.per_class()))
    evaluation = Evaluation(*computed, evaluator, dataset, recipe)
    if report is not None:
        source = ReportSource(recipe, dataset, evaluator, evaluation.metrics, evaluation.per_class, tta)
        broadcast_from_main(partial(_write_report, report, source, members))
    return evaluation


def _predict_image(
    model: Predictor, recipe: Recipe, tta: bool, tile: Tile | None, overlap: float | None, batch_size: int
) -> PredictImage | None:
    """Return the function that predicts for one image with test-time augmentation or by tiles; None without them."""
    if tile is not None:
        return TiledPrediction(model.module, recipe, tile, overlap, batch_size)
    return published_tta(model.module, recipe) if tta else None


def _write_report(folder: Path, source: ReportSource, slices: Slices) -> None:
    write_report(folder, source, slices)


def _check_report(folder: Path, slices: Path | None, dataset: ImageDataset, inputs: Sequence[str | Path]) -> Slices:
    """Check that a report can be written, before the evaluation, and return its slices."""
    if not dataset.has_annotations:
        raise DataError(
            f"{dataset.source} has no annotations, as for a test set, so no report can be written. Give a dataset with "
            f"annotations, or omit --report."
        )
    broadcast_from_main(partial(check_report_folder, folder, inputs))
    return {} if slices is None else read_slices(slices, dataset)


def _recipe_of(model: Predictor | Recipe, overrides: Mapping[str, Any] | None) -> Recipe:
    """Return the recipe of a model with overrides, which may not change a network that exists."""
    if not isinstance(model, Predictor):
        return recipe_overrides.apply(model, overrides) if overrides else model
    recipe = recipe_overrides.apply(model.recipe, overrides) if overrides else model.recipe
    if _network_fields(recipe) != _network_fields(model.recipe):
        raise UsageError(
            "The overrides change the network, which exists already. Give overrides of model.*, classes, sliding "
            "window and flip test to load."
        )
    return recipe


def _network_fields(recipe: Recipe) -> tuple[Any, ...]:
    """Return the fields of a recipe that its network is built from."""
    of_input = [getattr(recipe.input, key, None) for key in ("window", "stride", "flip_test", "shift_heatmap")]
    keypoints = getattr(recipe.data, "keypoints", None)
    definition = (keypoints.names, keypoints.flip_pairs) if isinstance(keypoints, Keypoints) else keypoints
    return recipe.model, recipe.num_classes, recipe.data.num_stuff, definition, *of_input


def _print_problems(problems: Sequence[str]) -> None:
    if not is_main_process():
        return
    for problem in problems[:MAX_PRINTED]:
        tell(f"note: {problem}")
    if len(problems) > MAX_PRINTED:
        tell(f"note: and {len(problems) - MAX_PRINTED} more; splitnest data check lists them")
