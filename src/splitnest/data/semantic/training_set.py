"""Training set of semantic segmentation: augmented crops with label maps."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors

from splitnest.data.augmentations.augmentations import Augmentations, Views
from splitnest.data.augmentations.view import View, from_pixels, to_pixels
from splitnest.data.images.normalize import normalize
from splitnest.data.loading.sample import TrainingSample
from splitnest.data.loading.seeds import generator
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.data.semantic.augment import augment
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.errors import DataError, UsageError
from splitnest.recipe import SemanticRecipe, required_training
from splitnest.structures import SemanticSegmentation
from splitnest.structures.panoptic_labels import UNLABELED


class SemanticTrainingSet(TrainingSet):
    """All images of a dataset, augmented. Images and label maps are padded to the crop size.

    Args:
        dataset: Images and label maps.
        recipe: Recipe with a training section.

    Raises:
        UsageError: The recipe has no training section, or too many classes for an 8-bit label map.
        DataError: There are no images, or an image has no label map.
    """

    def __init__(self, dataset: SemanticDataset, recipe: SemanticRecipe) -> None:
        self.dataset: SemanticDataset = dataset
        self.train_cfg, self.input_cfg = required_training(recipe), recipe.input
        self.augmentations = Augmentations(self.train_cfg.augment, self.input_cfg, self.train_cfg.seed)
        if SemanticSegmentation.unlabeled(dataset.categories) != UNLABELED:
            raise UsageError(f"data.classes has {len(dataset.categories)} classes. At most {UNLABELED} can be trained.")
        if not len(dataset):
            raise DataError(f"{dataset.source} has no images, so there is nothing to train on. Check the path.")
        dataset.require_label_maps()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> TrainingSample:
        """Read and augment one image.

        Args:
            key: Epoch, and index of the image.

        Raises:
            DataError: The image or its label map cannot be read, or their sizes differ.
        """
        epoch, index = key
        crop, crop_labels, size_hw = self._read(epoch, index)
        (height, width), (h, w) = self.train_cfg.crop_size, crop_labels.shape
        if self.augmentations:
            views = Views(lambda other: _view(*self._read(epoch, other)[:2]), len(self), self.dataset.name, (h, w))
            image, target = self.augmentations(_view(crop, crop_labels), views, epoch, index)
            crop, crop_labels = to_pixels(image), (target["semantic"].as_subclass(Tensor).to(torch.uint8) - 1).numpy()
        padding = (0, width - w, 0, height - h)
        return TrainingSample(
            image=F.pad(normalize(crop, self.input_cfg), padding),
            original_size=size_hw,
            name=self.dataset.name(index),
            semantic=F.pad(torch.from_numpy(np.ascontiguousarray(crop_labels)), padding, value=UNLABELED),
        )

    def _read(self, epoch: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[int, int]]:
        """Return a crop with its labels after the augmentation by the keys of the recipe, and the size of the image."""
        pixels, labels = self.dataset.read(index), self.dataset.labels(index)
        rng = generator(self.train_cfg.seed, epoch, index)
        crop, crop_labels = augment(pixels, labels.astype(np.uint8, copy=False), self.input_cfg, self.train_cfg, rng)
        return crop, crop_labels, (pixels.shape[0], pixels.shape[1])

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``: those of the crop."""
        return np.tile(np.array(self.train_cfg.crop_size, np.int64), (len(self), 1))


def _view(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> View:
    """Return a crop with its labels as a view; 255, unlabeled, becomes 0."""
    return from_pixels(pixels), {"semantic": tv_tensors.Mask(torch.from_numpy(np.ascontiguousarray(labels)) + 1)}
