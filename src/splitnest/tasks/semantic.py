"""Semantic segmentation."""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.formats.label_map_folders import index_encoding
from splitnest.data.images.normalize import normalize, resize_image
from splitnest.data.items import Items
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.data.semantic.check import SemanticFindings, check_dataset, print_report
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.data.semantic.open import open_dataset
from splitnest.data.semantic.sequence import SequenceSemantic
from splitnest.metrics.semantic import SemanticEvaluator
from splitnest.models.build import build_categories
from splitnest.recipe import NormName, SemanticRecipe, Split, required_training
from splitnest.structures import SemanticSegmentation
from splitnest.structures.batch import Batch
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks.base import Task


class SemanticTask(Task[SemanticRecipe, SemanticDataset]):
    """Semantic segmentation: a class per pixel, fixed crops in training and whole images in evaluation, mean IoU."""

    published_tta = ("_ms_flip", "")
    results_suffix = ""

    def open_dataset(self, recipe: SemanticRecipe, split: Split) -> SemanticDataset:
        """Open one split of the dataset."""
        return open_dataset(recipe.data, split, build_categories(recipe))

    def wrap(self, items: Items, recipe: SemanticRecipe) -> SemanticDataset:
        """Return a dataset over images with label maps; ``data.ignore_label`` is respected."""
        categories = build_categories(recipe)
        encoding = index_encoding(categories, ignore_label=getattr(recipe.data, "ignore_label", None))
        return SequenceSemantic(items, categories, encoding)

    def training_set(self, dataset: SemanticDataset, recipe: SemanticRecipe) -> TrainingSet:
        """Return the training samples of a dataset."""
        from splitnest.data.semantic.training_set import SemanticTrainingSet

        return SemanticTrainingSet(dataset, recipe)

    def check(self, dataset: SemanticDataset, recipe: SemanticRecipe, split: Split) -> SemanticFindings:
        """Check a dataset, print the findings, and return them."""
        findings = check_dataset(dataset, split)
        print_report(findings, split)
        return findings

    def evaluator(self, dataset: SemanticDataset, recipe: SemanticRecipe) -> SemanticEvaluator:
        """Return an evaluator of mean IoU, which writes label maps with the ids of the dataset's evaluation server."""
        ids = None if recipe.data.format == "folders" else dataset.categories.ids
        return SemanticEvaluator(dataset, ids)

    def result_files(self, path: Path, dataset: SemanticDataset) -> Iterator[Path]:
        """Yield the label maps."""
        for index in range(len(dataset)):
            yield path / PurePath(dataset.name(index)).with_suffix(".png")

    def empty_result(self, recipe: SemanticRecipe, size: tuple[int, int]) -> SemanticSegmentation:
        """Return a label map without labels."""
        return SemanticSegmentation.empty(size, build_categories(recipe))

    def ground_truth(self, dataset: SemanticDataset, index: int, recipe: SemanticRecipe) -> SemanticSegmentation:
        """Return the label map of one image as a result."""
        return dataset.ground_truth(index)

    def sample_result(self, batch: Batch, number: int, dataset: SemanticDataset) -> SemanticSegmentation:
        """Return the label map of one crop of a training batch as a result."""
        assert batch.semantic is not None
        height, width = batch.sizes[number]
        labels = batch.semantic[number, :height, :width].numpy()
        return SemanticSegmentation(labels, image_size=(height, width), categories=dataset.categories)

    def prepare(
        self,
        image: NDArray[np.uint8],
        recipe: SemanticRecipe,
        *,
        resize: bool = True,
        dtype: torch.dtype = torch.float32,
        person_boxes: PersonBoxes | None = None,
    ) -> PreparedImage:
        """Resize an image to the limits of the recipe and normalize it."""
        resized = resize_image(image, recipe.input) if resize else image
        return PreparedImage(normalize(resized, recipe.input, dtype)[None], (image.shape[0], image.shape[1]))

    def without_augmentation(self, recipe: SemanticRecipe) -> dict[str, Any]:
        """Return values of the section ``train`` with which images are not augmented, by key."""
        return {"resize_ratios": (1.0, 1.0), "flip": 0.0, "photometric_distortion": False}

    def max_training_size(self, recipe: SemanticRecipe) -> tuple[int, int]:
        """Return the crop size."""
        return required_training(recipe).crop_size

    def pooled_norms(self, recipe: SemanticRecipe) -> dict[str, NormName | None]:
        """Return the norm of the image pooling of PSP and ASPP heads."""
        return {} if recipe.model.head == "fcn" else {"model.norm": recipe.model.norm}
