"""Evaluation of the results of a scan, without the network."""

from collections.abc import Sequence
from pathlib import Path

from splitnest.data.dataset import ImageDataset
from splitnest.errors import DataError, UsageError, first_few, printable
from splitnest.evaluation.predict_dataset import make_evaluator
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.own import Metric
from splitnest.progress import track
from splitnest.recipe import Recipe
from splitnest.scanning.fingerprint import different_keys, recipe_fields
from splitnest.scanning.results import RowTable, read_scan


def evaluate_scan(out: str | Path, recipe: Recipe, dataset: ImageDataset, metrics: Sequence[Metric] = ()) -> Evaluator:
    """Return an evaluator with the results that a scan has of the images of a dataset, in its order.

    Args:
        out: Output folder of the scan: path or URL.
        recipe: Recipe of the model.
        dataset: Dataset whose image names are the keys of the scan, or their last parts.
        metrics: Metrics of the user.

    Raises:
        UsageError: The scan is of another model, or of features.
        DataError: Shards or images are missing, an image could not be read, or a file is damaged.
    """
    results = read_scan(out)
    if results.what != "results":
        raise UsageError(f"{printable(out)} has features, which have no metrics. Give the folder of a scan of results.")
    if differing := different_keys(recipe_fields(recipe), results.recipe_fields):
        raise UsageError(
            f"{printable(out)} has results of another model, which differs in {first_few(differing)}. Give the model "
            f"of the scan."
        )
    names = [dataset.name(index) for index in range(len(dataset))]
    table = RowTable(results, names)
    _check(out, table, names)
    evaluator = make_evaluator(recipe, dataset, metrics)
    for index in track(range(len(names)), len(names), "evaluating"):
        image = table[names[index]]
        if image.result is None:
            raise DataError(
                f"{printable(out)} has no result of {printable(image.key)}: {image.error} Repair it, and run: "
                f"splitnest scan retry {printable(out)}"
            )
        evaluator.update(dataset.image_id(index), image.result)
    return evaluator


def _check(out: str | Path, table: RowTable, names: Sequence[str]) -> None:
    """Raise a DataError if images of the dataset are not in the scan."""
    if missing := [name for name in names if name not in table]:
        raise DataError(
            f"{printable(out)} lacks {len(missing)} of the {len(names)} images of the dataset: {first_few(missing)}. "
            f"Scan the folder of its images."
        )
