"""What a model is trained and evaluated on, as the loop wants it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import nn

from splitnest.batch import Batch, collate
from splitnest.build import build_categories
from splitnest.data.classification_augment import mix, seed_of, seeded
from splitnest.data.classification_training import ClassificationSample, ClassificationTrainingSet
from splitnest.data.corrupt import CorruptImages
from splitnest.data.dataset import open_dataset
from splitnest.data.image_folders import open_image_labels
from splitnest.data.image_labels import LabelledImages
from splitnest.data.order import AugmentedPhotographs, BatchOrder, own_parts, training_loader
from splitnest.data.people import open_people
from splitnest.data.pose_training import PoseSample, PoseTrainingSet
from splitnest.data.semantic import open_semantic
from splitnest.data.semantic_training import SemanticSample, SemanticTrainingSet
from splitnest.data.training_set import TrainingSample, TrainingSet, required_training
from splitnest.errors import DataError
from splitnest.evaluation.classification import ClassificationEvaluator
from splitnest.evaluation.model import Evaluator, Measured, make_evaluator, predict_all
from splitnest.evaluation.model import open_validation as open_split
from splitnest.model import Model
from splitnest.processes import from_first, largest, rank, world_size
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
from splitnest.training.memory import images_at_once
from splitnest.training.page import predictions_page
from splitnest.training.run import RunFolder

AnySample = ClassificationSample | TrainingSample | SemanticSample | PoseSample

MIXUP, LOSS = 1, 2
"""Tell the random numbers of mixing and of losses from those of augmentation, whose keys are shorter."""


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
        return self._order.steps_per_epoch

    @property
    def _order(self) -> BatchOrder:
        train = self.train
        return BatchOrder(self.training_set.sizes_hw, train.batch_size, train.seed, train.group_by_aspect)

    def steps(self, start: int) -> Iterator[list[Batch]]:
        """Yield the batch of step ``start`` and all after it, each in the parts that are accumulated.

        One of several processes gets its own photographs of each part, padded to the size of the whole part.
        """
        photographs: AugmentedPhotographs[AnySample] = self.training_set
        order, loader = self._order.from_step(start), training_loader(photographs, self.train, start, self.corrupt)
        for step, ((epoch, indices), (_, samples)) in enumerate(zip(order, loader, strict=True), start=start):
            parts = []
            left = iter(samples)
            for number, own in enumerate(own_parts(indices.tolist(), self.train.accumulate, rank(), world_size())):
                seeds = [seed_of(self.train.seed, epoch, index, LOSS) for index in own]
                part = self._batch([next(left) for _ in own], seeds)
                parts.append(self._mixed(part, step, number))
            yield parts

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

    def _batch(self, samples: list[AnySample], seeds: list[int]) -> Batch:
        labels = [sample.label for sample in samples if isinstance(sample, ClassificationSample)]
        instances = [sample.instances for sample in samples if isinstance(sample, TrainingSample)]
        keypoints = [sample.keypoints for sample in samples if isinstance(sample, PoseSample)]
        maps = [sample.semantic for sample in samples if isinstance(sample, TrainingSample | SemanticSample)]
        semantic = [labels for labels in maps if labels is not None]
        images = [sample.image for sample in samples]
        least_size = (0, 0)
        if isinstance(self.training_set, TrainingSet):  # of all others the images have one size
            height, width = largest(*(max(image.shape[axis] for image in images) for axis in (1, 2)))
            least_size = height, width
        return collate(
            images,
            [sample.original_size for sample in samples],
            self.divisor,
            instances or None,
            [sample.name for sample in samples],
            semantic or None,
            keypoints=keypoints or None,
            labels=torch.tensor(labels) if labels else None,
            seeds=seeds,
            least_size=least_size,
        )


@dataclass(frozen=True)
class Validation:
    """Evaluates a model on its validation data, and draws a page of it into the run's folder."""

    recipe: Recipe
    dataset: Measured
    workers: int
    folder: RunFolder

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return the metrics of a model in evaluation mode, from 0 to 1; collective."""
        assert isinstance(model, Model)
        batch_size = 1
        if isinstance(self.recipe, PoseRecipe | ClassificationRecipe) and self.recipe.train is not None:
            batch_size = images_at_once(self.recipe.train)  # as in training: all are of one size
        evaluator = predict_all(model, self.recipe, self.dataset, batch_size, self.workers, keeps_maps=False)
        return from_first(partial(self._conclude, model, evaluator))

    def _conclude(self, model: Model, evaluator: Evaluator) -> dict[str, float]:
        """Draw pictures and return the metrics."""
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
