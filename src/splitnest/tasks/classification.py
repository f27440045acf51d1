"""Image classification."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot

from splitnest.data.classification.check import ClassificationFindings, check_dataset, print_report
from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.classification.open import open_dataset, with_folder_classes
from splitnest.data.classification.sequence import SequenceClassification
from splitnest.data.images.normalize import center_crop, normalize
from splitnest.data.items import Items
from splitnest.data.loading.seeds import MIXUP, torch_seeded
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.metrics.classification import ClassificationEvaluator
from splitnest.models.build import build_categories
from splitnest.recipe import ClassificationRecipe, Split, required_training
from splitnest.structures import Classification
from splitnest.structures.batch import Batch
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks.base import Task


class ClassificationTask(Task[ClassificationRecipe, ClassificationDataset]):
    """Image classification: one class per image, inputs of one size, top-1 accuracy."""

    has_fixed_input_size = True
    results_suffix = ""

    def complete(self, recipe: ClassificationRecipe) -> tuple[ClassificationRecipe, list[str]]:
        """Replace ``data.classes: folders`` by the names of the class folders."""
        return with_folder_classes(recipe), []

    def open_dataset(self, recipe: ClassificationRecipe, split: Split) -> ClassificationDataset:
        """Open one split of the dataset."""
        return open_dataset(recipe.data, split, build_categories(recipe))

    def wrap(self, items: Items, recipe: ClassificationRecipe) -> ClassificationDataset:
        """Return a dataset over images with class indices."""
        return SequenceClassification(items, build_categories(recipe))

    def result_files(self, path: Path, dataset: ClassificationDataset) -> Iterator[Path]:
        """Yield the predictions and the drawings."""
        yield from (path / name for name in ("predictions.csv", "confusion_matrix.png", "mistakes.jpg"))

    def training_set(self, dataset: ClassificationDataset, recipe: ClassificationRecipe) -> TrainingSet:
        """Return the training samples of a dataset."""
        from splitnest.data.classification.training_set import ClassificationTrainingSet

        return ClassificationTrainingSet(dataset, recipe)

    def check(
        self, dataset: ClassificationDataset, recipe: ClassificationRecipe, split: Split
    ) -> ClassificationFindings:
        """Check a dataset, print the findings, and return them."""
        findings = check_dataset(dataset, split)
        print_report(findings, split)
        return findings

    def evaluator(self, dataset: ClassificationDataset, recipe: ClassificationRecipe) -> ClassificationEvaluator:
        """Return an evaluator of top-1 and top-5 accuracy."""
        return ClassificationEvaluator(dataset)

    def empty_result(self, recipe: ClassificationRecipe, size: tuple[int, int]) -> Classification:
        """Return a result with probabilities of 0."""
        categories = build_categories(recipe)
        return Classification(np.zeros(len(categories), np.float32), image_size=size, categories=categories)

    def ground_truth(self, dataset: ClassificationDataset, index: int, recipe: ClassificationRecipe) -> Classification:
        """Return the class of one image as a result."""
        height, width = dataset.read(index).shape[:2]
        return dataset.ground_truth(index, (height, width))

    def sample_result(self, batch: Batch, number: int, dataset: ClassificationDataset) -> Classification:
        """Return the class of one image of a training batch, or the classes of a mixed one, as a result."""
        assert batch.labels is not None
        labels = batch.labels if batch.labels.ndim == 2 else one_hot(batch.labels, len(dataset.categories))
        probabilities = labels[number].numpy().astype(np.float32)
        return Classification(probabilities, image_size=batch.sizes[number], categories=dataset.categories)

    def prepare(
        self,
        image: NDArray[np.uint8],
        recipe: ClassificationRecipe,
        *,
        resize: bool = True,
        dtype: torch.dtype = torch.float32,
        person_boxes: PersonBoxes | None = None,
    ) -> PreparedImage:
        """Take the center crop of an image and normalize it."""
        crop = center_crop(image, recipe.input) if resize else image
        return PreparedImage(normalize(crop, recipe.input, dtype)[None], (image.shape[0], image.shape[1]))

    def without_augmentation(self, recipe: ClassificationRecipe) -> dict[str, Any]:
        """Return values of the section ``train`` with which images are not augmented, by key."""
        return {
            **{"crop_area": (1.0, 1.0), "flip": 0.0, "policy": None, "color_jitter": 0.0, "lighting": 0.0, "mixup": 0.0}
        }

    def max_training_size(self, recipe: ClassificationRecipe) -> tuple[int, int]:
        """Return the size of the random crop."""
        size = required_training(recipe).crop_size or recipe.input.size
        return size, size

    def mix_batch(self, batch: Batch, recipe: ClassificationRecipe, *key: int) -> Batch:
        """Apply mixup or CutMix."""
        train_cfg = required_training(recipe)
        if not (train_cfg.mixup or train_cfg.cutmix):
            return batch
        from splitnest.data.classification.augment import mix

        assert batch.labels is not None
        with torch_seeded(train_cfg.seed, *key, MIXUP):
            images, labels = mix(batch.images, batch.labels, recipe.num_classes, train_cfg)
        return replace(batch, images=images, labels=labels)
