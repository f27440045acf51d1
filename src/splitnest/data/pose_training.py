"""People as a pose estimator is trained on them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.person_crop import Region
from splitnest.data.pose_augment import PosedPerson, augment
from splitnest.data.training_set import required_training
from splitnest.data.transforms import normalise
from splitnest.errors import DataError
from splitnest.recipe.schema import PoseRecipe


@dataclass(frozen=True)
class PoseSample:
    """One person, augmented.

    Attributes:
        image: float32 ``[3, h, w]``, normalised, of the size of the network's input.
        keypoints: float32 ``[K, 3]``, x and y in its pixels, and 1 where it is labelled, otherwise 0.
        original_size: (height, width) of the photograph.
        name: What it is called in messages.
    """

    image: Tensor
    keypoints: Tensor
    original_size: tuple[int, int]
    name: str


class PoseTrainingSet(Dataset[PoseSample]):
    """The people of a data set that have keypoints.

    ``training_set[epoch, index]`` is augmented at random, depending on the seed, the epoch and the person alone.

    Args:
        dataset: Photographs with people.
        recipe: With a section ``train``.

    Raises:
        UsageError: The recipe has no section ``train``.
        DataError: There is nobody with keypoints.
    """

    def __init__(self, dataset: PeopleDataset, recipe: PoseRecipe) -> None:
        self.dataset, self.train, self.input = dataset, required_training(recipe), recipe.input
        self.rows = np.flatnonzero(dataset.has_pose)
        if not len(self.rows):
            raise DataError(
                f"{dataset.source} has nobody with keypoints among {len(dataset.file.ids)} annotations, so there is "
                f"nothing to train on. Check the path."
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> PoseSample:
        """Read and augment one person.

        Args:
            key: Epoch, and index of the person.

        Raises:
            DataError: The photograph cannot be read.
        """
        epoch, index = key
        dataset, row = self.dataset, int(self.rows[index])
        pixels = dataset.read(int(dataset.file.image_index[row]))
        keypoints = dataset.keypoints[row].astype(np.float32)
        keypoints[:, 2] = keypoints[:, 2] > 0
        region = Region.of_box(dataset.boxes[row], self.input.padding)
        rng = np.random.default_rng(np.random.SeedSequence(self.train.seed, spawn_key=(epoch, index)))
        person = augment(PosedPerson(pixels, region, keypoints), dataset.skeleton, self.train, rng)
        region, size_hw = person.region.of_shape(self.input), (self.input.height, self.input.width)
        matrix = region.matrix(size_hw).astype(np.float32)
        moved = person.keypoints.copy()
        moved[:, :2] = person.keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        return PoseSample(
            image=normalise(region.cut(person.pixels, size_hw), self.input),
            keypoints=torch.from_numpy(moved),
            original_size=(pixels.shape[0], pixels.shape[1]),
            name=dataset.cite(row),
        )

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``: those of the crop."""
        return np.tile(np.array([self.input.height, self.input.width], np.int64), (len(self), 1))
