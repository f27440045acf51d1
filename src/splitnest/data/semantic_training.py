"""Photographs with label maps as a segmentor is trained on them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from splitnest.data.panoptic_labels import UNLABELLED
from splitnest.data.semantic_augment import augment
from splitnest.data.semantic_labels import SemanticDataset, unlabelled
from splitnest.data.training_set import required_training
from splitnest.data.transforms import normalise
from splitnest.errors import DataError, UsageError
from splitnest.recipe.schema import SemanticRecipe


@dataclass(frozen=True)
class SemanticSample:
    """One photograph and its label map, augmented, and padded at the right and below to the size of the crop.

    Attributes:
        image: float32 ``[3, h, w]``, normalised; 0 in the padding.
        semantic: uint8 ``[h, w]``, classes or ``UNLABELLED``, which the padding is.
        original_size: (height, width) of the photograph.
        name: What it is called in messages.
    """

    image: Tensor
    semantic: Tensor
    original_size: tuple[int, int]
    name: str


class SemanticTrainingSet(Dataset[SemanticSample]):
    """The photographs of a data set, all of which take part in training.

    ``training_set[epoch, index]`` is augmented at random, depending on the seed, the epoch and the photograph alone.

    Args:
        dataset: Photographs and label maps.
        recipe: With a section ``train``.

    Raises:
        UsageError: The recipe has no section ``train``, or too many classes for a map of 8 bits.
        DataError: There are no photographs, or one has no label map.
    """

    def __init__(self, dataset: SemanticDataset, recipe: SemanticRecipe) -> None:
        self.dataset, self.train, self.input = dataset, required_training(recipe), recipe.input
        if unlabelled(dataset.categories) != UNLABELLED:
            raise UsageError(
                f"data.classes has {len(dataset.categories)} classes: {UNLABELLED} is the most to train on."
            )
        if not len(dataset):
            raise DataError(f"{dataset.source} has no photographs, so there is nothing to train on. Check the path.")
        dataset.require_label_maps()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> SemanticSample:
        """Read and augment one photograph.

        Args:
            key: Epoch, and index of the photograph.

        Raises:
            DataError: It or its label map cannot be read, or they do not go together.
        """
        epoch, index = key
        pixels, labels = self.dataset.read(index), self.dataset.labels(index)
        rng = np.random.default_rng(np.random.SeedSequence(self.train.seed, spawn_key=(epoch, index)))
        cropped, cut = augment(pixels, labels, self.input, self.train, rng)
        (height, width), (h, w) = self.train.crop, cut.shape
        padding = (0, width - w, 0, height - h)
        return SemanticSample(
            image=F.pad(normalise(cropped, self.input), padding),
            semantic=F.pad(torch.from_numpy(np.ascontiguousarray(cut)), padding, value=UNLABELLED),
            original_size=(pixels.shape[0], pixels.shape[1]),
            name=self.dataset.name(index),
        )

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``: those of the crop."""
        return np.tile(np.array(self.train.crop, np.int64), (len(self), 1))
