"""AP of keypoints by pycocotools."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO as Reference
from pycocotools.cocoeval import COCOeval

from splitnest.data.pose.dataset import PoseDataset
from splitnest.recipe import PoseRecipe
from splitnest.tasks import task_of


def val_dataset(recipe: PoseRecipe) -> PoseDataset:
    """Return the validation dataset of a recipe."""
    dataset = task_of(recipe).open_dataset(recipe, "val")
    assert isinstance(dataset, PoseDataset)
    return dataset


def reference(file: Path, rows: list[dict[str, Any]], sigmas: Any = None) -> list[float]:
    """Return the ten metrics of the rows of a results file."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = Reference(str(file))
        evaluation = COCOeval(ground_truth, ground_truth.loadRes(rows), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()
