"""Evaluation whose data loading worker is killed; run it in a process of its own."""

import multiprocessing
import os
from functools import partial
from pathlib import Path

from helpers import image_tree
from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.loading.evaluation_loader import EvaluationLoader
from splitnest.data.loading.workers import plain_worker_errors
from splitnest.errors import DataError
from splitnest.recipe import overrides
from splitnest.tasks import task_of


def evaluate_with_a_killed_worker(root: Path) -> None:
    """Kill the worker after the first image; exit with the exit code of the error that follows."""
    recipe = overrides.apply(image_tree.recipe_of(root), {"data.classes": list(image_tree.COLORS)})
    data = task_of(recipe).open_dataset(recipe, "val")
    sizes = iter(EvaluationLoader(partial(_size, data), len(data), workers=1))
    next(sizes)
    (worker,) = multiprocessing.active_children()
    try:
        with plain_worker_errors():
            worker.kill()
            list(sizes)
    except DataError as error:
        os._exit(error.exit_code)


def _size(data: ClassificationDataset, index: int) -> tuple[int, ...]:
    return data.read(index).shape
