"""Published metrics beside measured ones."""

from collections.abc import Iterable

from splitnest.recipe import Recipe
from splitnest.tasks import task_of


def published_columns(recipe: Recipe, metrics: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return title of a column -> metric -> published value in percent.

    There is a column of the metrics with test-time augmentation if some of these metrics were published with it.

    Args:
        recipe: Recipe of the model.
        metrics: Names of the measured metrics.
    """
    task, names = task_of(recipe), list(metrics)
    suffix, split = task.published_tta
    published = task.published_percent(recipe)
    columns = {"published": {name: published[name] for name in names if name in published}}
    with_tta = {name: published[name + suffix] for name in names if name + suffix in published}
    if with_tta:
        columns[f"published, with TTA{f', {split}' if split else ''}"] = with_tta
    return columns
