"""Evaluation during training: metrics on the validation dataset, and drawings in the run folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import cast

from torch import nn

from splitnest.data.dataset import ImageDataset
from splitnest.data.items import Items
from splitnest.distributed import broadcast_from_main
from splitnest.errors import DataError, UsageError
from splitnest.evaluation.predict_dataset import PreparedImages, predict_dataset, prepared_images
from splitnest.evaluation.report.write import ReportSource, write_report
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.own import Metric
from splitnest.metrics.statistics.errors import VAL_LOSS
from splitnest.models.base import Model
from splitnest.recipe import Recipe, required_training
from splitnest.tasks import task_of
from splitnest.training.extensions import NO_EXTENSIONS, Extensions
from splitnest.training.memory import images_per_forward
from splitnest.training.prediction_sheet import prediction_pairs
from splitnest.training.run_folder import RunFolder
from splitnest.training.selection import selected_first
from splitnest.training.state import TrainingState
from splitnest.training.validation_loss import ValidationLoss


@dataclass(frozen=True)
class Validation:
    """Evaluation of a model on the validation dataset of its recipe.

    Worker processes are started once and kept.

    Attributes:
        recipe: Recipe of the training.
        dataset: Validation dataset.
        folder: Run folder.
        metrics: Metrics of the user.
        state: State of the training, which gets the best score thresholds in the main process.
    """

    recipe: Recipe
    dataset: ImageDataset
    folder: RunFolder
    metrics: Sequence[Metric]
    state: TrainingState

    def __call__(self, module: nn.Module) -> dict[str, float]:
        """Return the metrics of a model in evaluation mode, from 0 to 1, and the losses if asked for; collective."""
        model = cast(Model, module)  # a module from Python has the same predict and loss
        train_cfg = required_training(self.recipe)
        batch_size = images_per_forward(train_cfg) if task_of(self.recipe).has_fixed_input_size else 1
        evaluator = predict_dataset(
            model,
            self.recipe,
            self.dataset,
            batch_size,
            metrics=self.metrics,
            prepared=self._prepared,
        )
        metrics = broadcast_from_main(partial(self._compute, model, evaluator))
        return metrics | self._loss(model) if train_cfg.val_loss else metrics

    def start(self) -> None:
        """Start the worker processes before the training, while this process has little memory that they would keep."""
        self._prepared.start()
        if required_training(self.recipe).val_loss:
            self._loss.start()

    @cached_property
    def _prepared(self) -> PreparedImages:
        return prepared_images(self.recipe, self.dataset, required_training(self.recipe).workers)

    @cached_property
    def _loss(self) -> ValidationLoss:
        return ValidationLoss(self.recipe, self.dataset)

    def _compute(self, model: Model, evaluator: Evaluator) -> dict[str, float]:
        """Write drawings and the report, and return the metrics, in the main process."""
        for name, pixels in evaluator.pictures().items():
            self.folder.write_image(name, pixels)
        self.folder.write_predictions(prediction_pairs(model, self.recipe, self.dataset))
        self.state.score_thresholds = evaluator.score_thresholds()
        metrics, per_class = evaluator.compute(), evaluator.per_class()
        write_report(self.folder.path, ReportSource(self.recipe, self.dataset, evaluator, metrics, per_class), {})
        return metrics


def open_validation(recipe: Recipe, extensions: Extensions = NO_EXTENSIONS) -> ImageDataset | None:
    """Open the validation dataset of a recipe, or one from Python; None if there is none.

    Args:
        recipe: Recipe of the training.
        extensions: Parts from Python: datasets and metrics.

    Raises:
        UsageError: A path is not set; or there is no validation set, which a key of the recipe needs.
        DataError: The dataset cannot be read, has no annotations, or lacks some that the metrics need.
    """
    train_cfg, task = required_training(recipe), task_of(recipe)
    dataset: ImageDataset
    if extensions.val_data is not None:
        dataset = task.wrap(Items(extensions.val_data, "val_data"), recipe)
    elif recipe.data.has_split("val") and extensions.train_data is None:
        dataset = task.open_dataset(recipe, "val")
    else:
        _check_no_evaluation(recipe)
        return None
    if not dataset.has_annotations:
        raise DataError(
            f"{dataset.source} has no annotations, as for a test set, so the training cannot be evaluated on it. Give "
            f"another validation set, or none (data.val_images=null)."
        )
    evaluator = task.evaluator(dataset, recipe)  # raises its error before the training, not after its first hours
    if train_cfg.val_loss:
        task.training_set(dataset, recipe)
    best_by = train_cfg.best_by
    if best_by is not None and not extensions.metrics and not (train_cfg.val_loss and best_by.startswith(VAL_LOSS)):
        selected_first(evaluator.compute(), best_by)  # of no images, for the names alone
    return dataset


def _check_no_evaluation(recipe: Recipe) -> None:
    """Raise a UsageError if a key of a recipe needs evaluations."""
    train_cfg = required_training(recipe)
    needed = ("patience", train_cfg.patience), ("best_by", train_cfg.best_by), ("val_loss", train_cfg.val_loss)
    for key, value in needed:
        if value:
            raise UsageError(
                f"train.{key} needs evaluations, and there is no validation set. Set data.val_images, or remove "
                f"train.{key}."
            )
