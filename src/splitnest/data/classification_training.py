"""Photographs as a classifier is trained on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from splitnest.data.classification_augment import augmentation, seeded
from splitnest.data.image_labels import LabelledImages
from splitnest.data.training_set import required_training
from splitnest.errors import DataError
from splitnest.recipe.schema import ClassificationRecipe


@dataclass(frozen=True)
class ClassificationSample:
    """One photograph, augmented.

    Attributes:
        image: float32 ``[3, size, size]``, normalised.
        label: Its class.
        original_size: (height, width) of the photograph.
        name: What it is called in messages.
    """

    image: Tensor
    label: int
    original_size: tuple[int, int]
    name: str


class ClassificationTrainingSet(Dataset[ClassificationSample]):
    """The photographs of a data set, all of which take part in training.

    ``training_set[epoch, index]`` is augmented at random, depending on the seed, the epoch and the photograph alone.

    Args:
        dataset: Photographs with classes.
        recipe: With a section ``train``.

    Raises:
        UsageError: The recipe has no section ``train``.
        DataError: The photographs have no classes.
    """

    def __init__(self, dataset: LabelledImages, recipe: ClassificationRecipe) -> None:
        self.dataset, self.train = dataset, required_training(recipe)
        self.side = self.train.size or recipe.input.size
        self.augment = augmentation(recipe.input, self.train)
        if not dataset.has_annotations:
            raise DataError(
                f"{dataset.source} has photographs without classes, so there is nothing to train on. Put those of each "
                f"class into a folder of its name, or give a list of files and classes (data.train_annotations)."
            )

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> ClassificationSample:
        """Read and augment one photograph.

        Args:
            key: Epoch, and index of the photograph.

        Raises:
            DataError: It cannot be read.
        """
        epoch, index = key
        pixels = self.dataset.read(index)
        with seeded(self.train.seed, epoch, index):
            image = self.augment(Image.fromarray(pixels))
        size_hw = pixels.shape[0], pixels.shape[1]
        return ClassificationSample(image, int(self.dataset.labels[index]), size_hw, self.dataset.name(index))

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``: those of the crop."""
        return np.full((len(self), 2), self.side, np.int64)
