"""What a model is trained and evaluated on, as the loop wants it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn

from splitnest.batch import Batch, collate
from splitnest.build import build_categories
from splitnest.data.classification_augment import mix, seeded
from splitnest.data.classification_training import ClassificationSample, ClassificationTrainingSet
from splitnest.data.corrupt import CorruptImages
from splitnest.data.dataset import open_dataset
from splitnest.data.image_folders import open_image_labels
from splitnest.data.image_labels import LabelledImages
from splitnest.data.order import AugmentedPhotographs, BatchOrder, training_loader
from splitnest.data.people import open_people
from splitnest.data.pose_training import PoseSample, PoseTrainingSet
from splitnest.data.semantic import open_semantic
from splitnest.data.semantic_training import SemanticSample, SemanticTrainingSet
from splitnest.data.training_set import TrainingSample, TrainingSet, required_training
from splitnest.errors import DataError
from splitnest.evaluation.classification import ClassificationEvaluator
from splitnest.evaluation.model import Measured, make_evaluator, predict_all
from splitnest.evaluation.model import open_validation as open_split
from splitnest.model import Model
from splitnest.recipe import (
    ClassificationRecipe,
    ClassificationTraining,
    DetectionRecipe,
    DetectionTraining,
    PoseRecipe,
    Recipe,
    SemanticRecipe,
)
from splitnest.recipe.training import CropTraining
from splitnest.training.page import predictions_page
from splitnest.training.run import RunFolder

AnySample = ClassificationSample | TrainingSample | SemanticSample | PoseSample

MIXUP = 1
"""Tells the random numbers of mixing from those of augmentation, whose keys are shorter."""


@dataclass(frozen=True)
class TrainingBatches:
    """Batches of a training set, the same ones for any number of workers.

    Attributes:
        training_set: Of which they are.
        train: Of the recipe.
        divisor: Of the height and width of a batch, in pixels.
    """

    training_set: ClassificationTrainingSet | TrainingSet | SemanticTrainingSet | PoseTrainingSet
    train: DetectionTraining | CropTraining
    divisor: int = 1

    @cached_property
    def corrupt(self) -> CorruptImages:
        """Counts and reports the photographs that cannot be used."""
        return CorruptImages(len(self.training_set), self.train.corrupt_share)

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
        photographs: AugmentedPhotographs[AnySample] = self.training_set
        loader = training_loader(photographs, self.train, start, self.corrupt)
        for step, (_, samples) in enumerate(loader, start=start):
            parts = [self._batch(samples[first : first + size]) for first in range(0, len(samples), size)]
            yield [self._mixed(part, step, number) for number, part in enumerate(parts)]

    def _mixed(self, batch: Batch, step: int, part: int) -> Batch:
        """Return a batch of a classifier with its images mixed; any other as it is."""
        if not isinstance(self.train, ClassificationTraining) or not self.train.mixup:
            return batch
        assert isinstance(self.training_set, ClassificationTrainingSet)
        assert batch.labels is not None
        with seeded(self.train.seed, step, part, MIXUP):
            num_classes = len(self.training_set.dataset.categories)
            images, labels = mix(batch.images, batch.labels, num_classes, self.train.mixup)
        return replace(batch, images=images, labels=labels)

    def _batch(self, samples: list[AnySample]) -> Batch:
        labels = [sample.label for sample in samples if isinstance(sample, ClassificationSample)]
        instances = [sample.instances for sample in samples if isinstance(sample, TrainingSample)]
        keypoints = [sample.keypoints for sample in samples if isinstance(sample, PoseSample)]
        maps = [sample.semantic for sample in samples if isinstance(sample, TrainingSample | SemanticSample)]
        semantic = [labels for labels in maps if labels is not None]
        return collate(
            [sample.image for sample in samples],
            [sample.original_size for sample in samples],
            self.divisor,
            instances or None,
            [sample.name for sample in samples],
            semantic or None,
            keypoints=keypoints or None,
            labels=torch.tensor(labels) if labels else None,
        )


@dataclass(frozen=True)
class Validation:
    """Evaluates a model on its validation data, and draws a page of it into the run's folder."""

    recipe: Recipe
    dataset: Measured
    workers: int
    folder: RunFolder

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return the metrics of a model in evaluation mode, from 0 to 1."""
        assert isinstance(model, Model)
        batch_size = 1
        if isinstance(self.recipe, PoseRecipe | ClassificationRecipe) and self.recipe.train is not None:
            batch_size = self.recipe.train.batch_size // self.recipe.train.accumulate  # as training: all of one size
        evaluator = predict_all(model, self.recipe, self.dataset, batch_size, self.workers, keeps_maps=False)
        if isinstance(evaluator, ClassificationEvaluator):
            pictures = evaluator.pictures()
        else:
            assert not isinstance(self.dataset, LabelledImages)
            page = predictions_page(model, self.recipe, self.dataset)
            pictures = {} if page is None else {"predictions.jpg": page}
        for name, pixels in pictures.items():
            self.folder.picture(name, pixels)
        return evaluator.compute()


def open_training(recipe: Recipe) -> TrainingBatches:
    """Open the training data of a recipe.

    Raises:
        UsageError: The recipe does not say how to train, or a path is not set.
        DataError: The data cannot be read, or no photograph of it takes part.
    """
    categories = build_categories(recipe)
    match recipe:
        case ClassificationRecipe():
            labelled = ClassificationTrainingSet(open_image_labels(recipe.data, "train", categories), recipe)
            return TrainingBatches(labelled, required_training(recipe))
        case DetectionRecipe():
            detected = TrainingSet(open_dataset(recipe.data, "train", categories), recipe)
            return TrainingBatches(detected, required_training(recipe), recipe.input.divisor)
        case SemanticRecipe():
            segmented = SemanticTrainingSet(open_semantic(recipe.data, "train", categories), recipe)
            return TrainingBatches(segmented, required_training(recipe))
        case PoseRecipe():
            posed = PoseTrainingSet(open_people(recipe, "train", categories), recipe)
            return TrainingBatches(posed, required_training(recipe))


def open_validation(recipe: Recipe) -> Measured | None:
    """Open the validation data of a recipe; None if it names none.

    Raises:
        UsageError: A path is not set.
        DataError: The data cannot be read, has no annotations, or not all that are needed.
    """
    if recipe.data.format != "scenes" and recipe.data.val_images is None:
        return None
    dataset = open_split(recipe, build_categories(recipe))
    if not dataset.has_annotations:
        raise DataError(
            f"{dataset.source} has no annotations, as that of a test set, so training cannot be evaluated on "
            f"it. Give another file, or none (data.val_images=null)."
        )
    make_evaluator(recipe, dataset)  # it complains now, not after the first hours of training
    return dataset
