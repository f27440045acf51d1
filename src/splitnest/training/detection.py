"""What a detector is trained and evaluated on, as the loop wants it."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from splitnest.batch import Batch, collate
from splitnest.build import build_categories
from splitnest.data.coco import CocoDetection
from splitnest.data.dataset import open_dataset
from splitnest.data.order import BatchOrder, training_loader
from splitnest.data.training_set import TrainingSample, TrainingSet, required_training
from splitnest.errors import DataError
from splitnest.evaluation.detector import detect_all, make_evaluator
from splitnest.model import Model
from splitnest.recipe import DetectionRecipe, DetectionTraining
from splitnest.training.page import predictions_page
from splitnest.training.run import RunFolder


@dataclass(frozen=True)
class DetectionData:
    """Batches of a training set, the same ones for any number of workers."""

    training_set: TrainingSet
    train: DetectionTraining
    divisor: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch.

        Raises:
            UsageError: There are fewer photographs than a batch has.
        """
        train = self.train
        order = BatchOrder(self.training_set.sizes_hw, train.batch_size, train.seed, train.group_by_aspect)
        return order.steps_per_epoch

    def steps(self, start: int) -> Iterator[list[Batch]]:
        """Yield the batch of step ``start`` and all after it, each in the parts that are accumulated."""
        size = self.train.batch_size // self.train.accumulate
        for _, samples in training_loader(self.training_set, self.train, start):
            parts = [samples[first : first + size] for first in range(0, len(samples), size)]
            yield [self._batch(part) for part in parts]

    def _batch(self, samples: list[TrainingSample]) -> Batch:
        stuff = [sample.semantic for sample in samples if sample.semantic is not None]
        return collate(
            [sample.image for sample in samples],
            [sample.original_size for sample in samples],
            self.divisor,
            [sample.instances for sample in samples],
            [sample.name for sample in samples],
            stuff or None,
        )


@dataclass(frozen=True)
class DetectionEvaluation:
    """Evaluates a detector or panoptic model on its validation data, and draws a page of it into the run's folder."""

    recipe: DetectionRecipe
    dataset: CocoDetection
    workers: int
    folder: RunFolder

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return the metrics of a model in evaluation mode, from 0 to 1."""
        assert isinstance(model, Model)
        metrics = detect_all(model, self.recipe, self.dataset, workers=self.workers).compute()
        page = predictions_page(model, self.recipe, self.dataset)
        if page is not None:
            self.folder.picture("predictions.jpg", page)
        return metrics


def open_training(recipe: DetectionRecipe) -> DetectionData:
    """Open the training data of a recipe.

    Raises:
        UsageError: The recipe does not say how to train, or a path is not set.
        DataError: The data cannot be read, or no photograph of it takes part.
    """
    dataset = open_dataset(recipe.data, "train", build_categories(recipe))
    return DetectionData(TrainingSet(dataset, recipe), required_training(recipe), recipe.input.divisor)


def open_validation(recipe: DetectionRecipe) -> CocoDetection | None:
    """Open the validation data of a recipe; None if it names none.

    Raises:
        UsageError: A path is not set.
        DataError: The data cannot be read, has no annotations, or none that masks can be evaluated on.
    """
    if recipe.data.format != "scenes" and recipe.data.val_images is None:
        return None
    dataset = open_dataset(recipe.data, "val", build_categories(recipe))
    if not dataset.has_annotations:
        raise DataError(
            f"{dataset.annotation_file} has no annotations, as that of a test set, so training cannot be evaluated on "
            f"it. Give another file, or none (data.val_images=null)."
        )
    make_evaluator(recipe, dataset)  # it complains now, not after the first hours of training
    return dataset
