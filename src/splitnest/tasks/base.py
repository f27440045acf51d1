"""Interface of task objects."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.dataset import ImageDataset
from splitnest.data.findings import Findings
from splitnest.data.items import Items
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.errors import UsageError
from splitnest.metrics.evaluator import Evaluator
from splitnest.recipe import NormName, Recipe, Split
from splitnest.structures import Result
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories
from splitnest.structures.prepared import PreparedImage
from splitnest.structures.skeleton import Skeleton

R = TypeVar("R", bound=Recipe)
D = TypeVar("D", bound=ImageDataset)


class Task(ABC, Generic[R, D]):
    """Parts of a task that the verbs (predict, evaluate, train, check) need besides its model.

    Attributes:
        pads_batches: Whether training images of different sizes are padded to one batch. In prediction only images of
            one padded size are processed together, because padding changes the results.
        has_fixed_input_size: Whether all inputs of a network have one size, so that batches need no padding.
        has_boxes: Whether results have boxes of instances.
        uses_person_boxes: Whether ``prepare`` crops persons.
        published_tta: Suffix of the published metrics with test-time augmentation, and the split they were measured on
            if it is not the validation split.
        results_suffix: File name suffix of written results; empty for a folder.
    """

    pads_batches: ClassVar[bool] = False
    has_fixed_input_size: ClassVar[bool] = False
    has_boxes: ClassVar[bool] = False
    uses_person_boxes: ClassVar[bool] = False
    published_tta: ClassVar[tuple[str, str]] = ("_tta", "")
    results_suffix: ClassVar[str] = ".json"

    def complete(self, recipe: R) -> tuple[R, list[str]]:
        """Return a recipe with the values that are read from its dataset, and a note for each assumption."""
        return recipe, []

    @abstractmethod
    def open_dataset(self, recipe: R, split: Split) -> D:
        """Open one split of the dataset of a recipe.

        Raises:
            UsageError: ``data.root`` or a path is not set.
            DataError: The dataset cannot be read, or has other classes than the model.
        """

    @abstractmethod
    def wrap(self, items: Items, recipe: R) -> D:
        """Return a dataset over items from Python, whose targets have the form of the task.

        Raises:
            DataError: An item cannot be used.
        """

    @abstractmethod
    def training_set(self, dataset: D, recipe: R) -> TrainingSet:
        """Return the training samples of a dataset.

        Raises:
            UsageError: The recipe has no training section.
            DataError: No sample takes part.
        """

    @abstractmethod
    def check(self, dataset: D, recipe: R, split: Split) -> Findings:
        """Check a dataset, print the findings, and return them."""

    @abstractmethod
    def evaluator(self, dataset: D, recipe: R) -> Evaluator:
        """Return an evaluator of results on a dataset.

        Args:
            dataset: Dataset with or without annotations.
            recipe: Recipe of the model.

        Raises:
            DataError: Annotations that the metrics need are missing.
        """

    @abstractmethod
    def empty_result(self, recipe: R, size: tuple[int, int]) -> Result:
        """Return a result without instances or labels for an image of (height, width) pixels."""

    def skeleton(self, recipe: R) -> Skeleton | None:
        """Return the keypoints of a recipe; None for a task without keypoints."""
        return None

    @abstractmethod
    def ground_truth(self, dataset: D, index: int, recipe: R) -> Result:
        """Return the ground truth of one image as a result, for drawing."""

    @abstractmethod
    def sample_result(self, batch: Batch, number: int, dataset: D) -> Result:
        """Return the ground truth of one image of a training batch as a result in its pixels, for drawing.

        Args:
            batch: Training batch.
            number: Index of the image in the batch.
            dataset: Dataset of the batch.
        """

    @abstractmethod
    def prepare(
        self,
        image: NDArray[np.uint8],
        recipe: R,
        *,
        resize: bool = True,
        dtype: torch.dtype = torch.float32,
        person_boxes: PersonBoxes | None = None,
    ) -> PreparedImage:
        """Preprocess an image.

        Args:
            image: uint8 RGB ``[H, W, 3]``.
            recipe: Recipe of the model.
            resize: Whether to crop or resize as the recipe says.
            dtype: Type of the network inputs.
            person_boxes: Persons of the image (pose only); None takes the whole image as the box of one person.
        """

    def prepare_item(self, dataset: D, index: int, recipe: R) -> PreparedImage:
        """Read and preprocess one image of a dataset for evaluation."""
        return self.prepare(dataset.read(index), recipe)

    def combine(self, results: Sequence[Any], prepared: PreparedImage, categories: Categories) -> Result:
        """Return the result of an image from the results of its network inputs."""
        (result,) = results
        return result

    def divisor(self, recipe: R) -> int:
        """Return the divisor of the padded height and width of a batch in pixels."""
        return 1

    @abstractmethod
    def max_training_size(self, recipe: R) -> tuple[int, int]:
        """Return the maximum (height, width) of a training batch in pixels."""

    def pooled_norms(self, recipe: R) -> dict[str, NormName | None]:
        """Return key -> value of the recipe's norms of globally pooled features: one value per image and channel."""
        return {}

    @abstractmethod
    def without_augmentation(self, recipe: R) -> dict[str, Any]:
        """Return values of the section ``train`` with which images are not augmented, by key."""

    def mix_batch(self, batch: Batch, recipe: R, *key: int) -> Batch:
        """Return a training batch whose images are mixed, if the task does that; ``key`` seeds it."""
        return batch

    def published_percent(self, recipe: R) -> dict[str, float]:
        """Return the published metrics in percent."""
        return recipe.published

    def result_files(self, path: Path, dataset: D) -> Iterator[Path]:
        """Yield the files that the evaluator writes for a path of results."""
        yield path

    def check_results_path(self, path: Path) -> None:
        """Raise a UsageError if results cannot be written to a path: a folder, for results that are a file."""
        if self.results_suffix and path.is_dir():
            raise UsageError(f"--results {path} is a folder. Give a file name with the suffix {self.results_suffix}.")


def required_suffix(path: Path, suffix: str, kind: str) -> None:
    """Raise a UsageError if a path for results has another suffix."""
    if path.suffix != suffix:
        raise UsageError(f"--results {path}: {kind}. Give a file name with the suffix {suffix}.")
