"""Training set of pose estimation: augmented crops of persons with keypoints."""

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.images.normalize import normalize
from splitnest.data.loading.sample import TrainingSample
from splitnest.data.loading.seeds import generator
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.data.pose.augment import AnnotatedPerson, augment
from splitnest.data.pose.crop import crop, crop_matrix
from splitnest.data.pose.dataset import PoseDataset
from splitnest.errors import DataError
from splitnest.recipe import PoseRecipe, required_training
from splitnest.structures.person import CropRegion


class PoseTrainingSet(TrainingSet):
    """Persons of a dataset with keypoints, augmented.

    Args:
        dataset: Images with persons.
        recipe: Recipe with a training section.

    Raises:
        UsageError: The recipe has no training section.
        DataError: No person has keypoints.
    """

    def __init__(self, dataset: PoseDataset, recipe: PoseRecipe) -> None:
        self.dataset: PoseDataset = dataset
        self.train_cfg, self.input_cfg = required_training(recipe), recipe.input
        self.rows = np.flatnonzero(dataset.has_pose)
        if not len(self.rows):
            raise DataError(
                f"{dataset.source} has no person with keypoints among {len(dataset.file.ids)} annotations, so there is "
                f"nothing to train on. Check the path."
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> TrainingSample:
        """Read and augment one person.

        Args:
            key: Epoch, and index of the person.

        Raises:
            DataError: The image cannot be read.
        """
        epoch, index = key
        dataset, row = self.dataset, int(self.rows[index])
        pixels = dataset.read(int(dataset.file.image_index[row]))
        keypoints = dataset.keypoints[row].astype(np.float32)
        keypoints[:, 2] = keypoints[:, 2] > 0
        region = CropRegion.from_box(dataset.boxes[row], self.input_cfg.padding)
        rng = generator(self.train_cfg.seed, epoch, index)
        person = augment(AnnotatedPerson(pixels, region, keypoints), dataset.skeleton, self.train_cfg, rng)
        size_hw = self.input_cfg.size_hw
        region = person.region.with_aspect_ratio(self.input_cfg.width / self.input_cfg.height)
        matrix = crop_matrix(region, size_hw).astype(np.float32)
        warped = person.keypoints.copy()
        warped[:, :2] = person.keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        return TrainingSample(
            image=normalize(crop(person.pixels, region, size_hw), self.input_cfg),
            original_size=(pixels.shape[0], pixels.shape[1]),
            name=dataset.cite(row),
            keypoints=torch.from_numpy(warped),
        )

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``: those of the crop."""
        return np.tile(np.array(self.input_cfg.size_hw, np.int64), (len(self), 1))

    def summary(self) -> list[str]:
        """Return the number of persons and images in a line."""
        return [f"{len(self)} of {len(self.dataset.file.ids)} persons in {len(self.dataset)} images"]
