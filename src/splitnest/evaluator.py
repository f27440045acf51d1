"""Evaluation by the published protocol: data, network, metric."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from splitnest.build import build_categories
from splitnest.errors import DataError, UsageError
from splitnest.evaluation.model import Evaluator, open_validation, predict_all
from splitnest.inference.tta import augmented
from splitnest.predictor import Predictor, load
from splitnest.processes import from_first, is_first, together
from splitnest.recipe import Keypoints, Recipe
from splitnest.recipe import overrides as recipe_overrides

MAX_PROBLEMS = 10
"""Odd annotations that are named; the rest are counted."""


class Evaluation(NamedTuple):
    """What an evaluation found.

    Attributes:
        metrics: Metric name -> value from 0 to 1; empty for data without annotations.
        per_class: Class name -> metric name -> value.
        evaluator: Holds all that was found, and can write it.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    evaluator: Evaluator


def evaluate(
    model: Predictor | str | Path,
    overrides: Mapping[str, Any] | None = None,
    tta: bool = False,
    *,
    batch_size: int = 1,
    workers: int = 0,
) -> dict[str, float]:
    """Return the metrics of a model on its validation data, from 0 to 1.

    Where ``torchrun`` started several processes, each looks at its own photographs and all return the same metrics.

    Args:
        model: What ``load`` returned, or what it takes.
        overrides: Values of the recipe by dotted key; ``data.root`` is the folder of the data set.
        tta: Predict with test-time augmentation, one photograph at a time.
        batch_size: Images that go through the network together.
        workers: Processes that read images; 0 reads in this one.

    Raises:
        UsageError: No ``data.root``, or a model that has no test-time augmentation with ``tta``.
        DataError: The data set cannot be read, does not have the model's classes, or has no annotations.
    """
    with together():
        found = run(model, overrides, tta, batch_size=batch_size, workers=workers)
    if not found.metrics:
        raise DataError("The data has no annotations, as that of a test set: no metric can be had from it.")
    return found.metrics


def run(
    model: Predictor | str | Path,
    overrides: Mapping[str, Any] | None = None,
    tta: bool = False,
    *,
    batch_size: int = 1,
    workers: int = 0,
) -> Evaluation:
    """Evaluate as ``evaluate`` does and return everything that was found, also for data without annotations.

    Of several processes the first one's evaluator holds all of it.
    """
    predictor = model if isinstance(model, Predictor) else load(model, overrides=overrides)
    recipe = recipe_overrides.apply(predictor.recipe, overrides) if overrides else predictor.recipe
    if _built_from(recipe) != _built_from(predictor.recipe):
        raise UsageError(
            "The overrides change the network, which is built already. Give those of model.*, classes, windows and the "
            "flip test to load."
        )
    views = augmented(predictor.module, recipe) if tta else None
    dataset = open_validation(recipe, build_categories(recipe))
    _report(dataset.problems)
    evaluator = predict_all(predictor.module, recipe, dataset, batch_size, workers, views)
    if not dataset.has_annotations:
        return Evaluation({}, {}, evaluator)
    return Evaluation(*from_first(lambda: (evaluator.compute(), evaluator.per_class())), evaluator)


def _built_from(recipe: Recipe) -> tuple[Any, ...]:
    """Return all of a recipe that its network is made of."""
    of_input = [getattr(recipe.input, key, None) for key in ("window", "stride", "flip_test", "shift_heatmap")]
    keypoints = recipe.data.keypoints
    named = (keypoints.names, keypoints.flip_pairs) if isinstance(keypoints, Keypoints) else keypoints
    return recipe.model, recipe.num_classes, recipe.data.num_stuff, named, *of_input


def _report(problems: Sequence[str]) -> None:
    if not is_first():
        return
    for problem in problems[:MAX_PROBLEMS]:
        print(f"note: {problem}", file=sys.stderr)
    if len(problems) > MAX_PROBLEMS:
        print(f"note: and {len(problems) - MAX_PROBLEMS} more of the kind", file=sys.stderr)
