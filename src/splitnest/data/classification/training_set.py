"""Training set of image classification: augmented images with class labels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from splitnest.data.augmentations.augmentations import Augmentations, Views
from splitnest.data.augmentations.view import View
from splitnest.data.classification.augment import crop_augmentation, lighting_and_normalization
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
        self.crop = crop_augmentation(recipe.input, self.train_cfg)
        self.normalize = lighting_and_normalization(recipe.input, self.train_cfg)
        self.augmentations = Augmentations(self.train_cfg.augment, recipe.input, self.train_cfg.seed)
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
        size_hw, label = (pixels.shape[0], pixels.shape[1]), int(self.dataset.labels[index])
        with torch_seeded(self.train_cfg.seed, epoch, index):
            crop = self.crop(Image.fromarray(pixels))
            if self.augmentations:
                crop, label = self._augmented(crop, label, epoch, index)
            image = self.normalize(crop)
        return TrainingSample(image, size_hw, self.dataset.name(index), label=label)

    def _augmented(self, crop: Tensor, label: int, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return a crop ``[3, size, size]`` and its label after the augmentations of ``train.augment``."""
        size_hw = self.size, self.size
        no_others = Views(
            _no_view, 0, self.dataset.name, size_hw
        )  # no augmentation of several images is listed for classification
        image, target = self.augmentations((tv_tensors.Image(crop), {"label": label}), no_others, epoch, index)
        return image.as_subclass(Tensor), int(target["label"])

    def class_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the index and the class of each image."""
        return np.arange(len(self)), self.dataset.labels

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``: those of the crop."""
        return np.full((len(self), 2), self.size, np.int64)


def _no_view(index: int) -> View:
    raise IndexError(index)
