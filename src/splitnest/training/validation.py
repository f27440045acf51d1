"""Evaluation during training: metrics on the validation dataset, and drawings in the run folder."""

from dataclasses import dataclass
from functools import partial
from typing import cast

from torch import nn

from splitnest.data.dataset import ImageDataset
from splitnest.distributed import broadcast_from_main
from splitnest.errors import DataError
from splitnest.evaluation.predict_dataset import predict_dataset
from splitnest.metrics.evaluator import Evaluator
from splitnest.models.base import Model
from splitnest.recipe import Recipe, required_training
from splitnest.tasks import task_of
from splitnest.training.memory import images_per_forward
from splitnest.training.prediction_sheet import prediction_sheet
from splitnest.training.run_folder import PREDICTIONS_FILE, RunFolder


@dataclass(frozen=True)
class Validation:
    """Evaluation of a model on the validation dataset of its recipe.

    Attributes:
        recipe: Recipe of the training.
        dataset: Validation dataset.
        folder: Run folder.
    """

    recipe: Recipe
    dataset: ImageDataset
    folder: RunFolder

    def __call__(self, module: nn.Module) -> dict[str, float]:
        """Return the metrics of a model in evaluation mode, from 0 to 1; collective."""
        model = cast(Model, module)  # a module from Python has the same predict
        train_cfg = required_training(self.recipe)
        batch_size = images_per_forward(train_cfg) if task_of(self.recipe).has_fixed_input_size else 1
        evaluator = predict_dataset(
            model, self.recipe, self.dataset, batch_size, train_cfg.workers, keep_label_maps=False
        )
        return broadcast_from_main(partial(self._compute, model, evaluator))

    def _compute(self, model: Model, evaluator: Evaluator) -> dict[str, float]:
        """Write drawings and return the metrics, in the main process."""
        for name, pixels in evaluator.pictures().items():
            self.folder.write_image(name, pixels)
        sheet = prediction_sheet(model, self.recipe, self.dataset)
        if sheet is not None:
            self.folder.write_image(PREDICTIONS_FILE, sheet)
        return evaluator.compute()


def open_validation(recipe: Recipe) -> ImageDataset | None:
    """Open the validation dataset of a recipe; None if it has none.

    Raises:
        UsageError: A path is not set.
        DataError: The dataset cannot be read, has no annotations, or lacks some that the metrics need.
    """
    if not recipe.data.has_split("val"):
        return None
    task = task_of(recipe)
    dataset: ImageDataset = task.open_dataset(recipe, "val")
    if not dataset.has_annotations:
        raise DataError(
            f"{dataset.source} has no annotations, as for a test set, so the training cannot be evaluated on it. Give "
            f"another validation set, or none (data.val_images=null)."
        )
    task.evaluator(dataset, recipe)  # raises its error before the training instead of after its first hours
    return dataset
