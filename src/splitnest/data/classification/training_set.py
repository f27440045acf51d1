"""Training set of image classification: augmented images with class labels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.classification.augment import augmentation
from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.loading.sample import TrainingSample
from splitnest.data.loading.seeds import torch_seeded
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.errors import DataError
from splitnest.recipe import ClassificationRecipe, required_training


class ClassificationTrainingSet(TrainingSet):
    """All images of a dataset, augmented.

    Args:
        dataset: Images with classes.
        recipe: Recipe with a training section.

    Raises:
        UsageError: The recipe has no training section.
        DataError: The images have no classes.
    """

    def __init__(self, dataset: ClassificationDataset, recipe: ClassificationRecipe) -> None:
        self.dataset: ClassificationDataset = dataset
        self.train_cfg = required_training(recipe)
        self.size = self.train_cfg.crop_size or recipe.input.size
        self.augment = augmentation(recipe.input, self.train_cfg)
        if not dataset.has_annotations:
            raise DataError(
                f"{dataset.source} has images without classes, so there is nothing to train on. Put the images of each "
                f"class into a folder with its name, or set data.train_annotations to a list of images and classes."
            )

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> TrainingSample:
        """Read and augment one image.

        Args:
            key: Epoch, and index of the image.

        Raises:
            DataError: The image cannot be read.
        """
        epoch, index = key
        pixels = self.dataset.read(index)
        with torch_seeded(self.train_cfg.seed, epoch, index):
            image = self.augment(Image.fromarray(pixels))
        size_hw = pixels.shape[0], pixels.shape[1]
        return TrainingSample(image, size_hw, self.dataset.name(index), label=int(self.dataset.labels[index]))

    def class_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the index and the class of each image."""
        return np.arange(len(self)), self.dataset.labels

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``: those of the crop."""
        return np.full((len(self), 2), self.size, np.int64)
