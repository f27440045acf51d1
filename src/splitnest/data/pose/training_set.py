"""Training set of pose estimation: augmented crops of persons with keypoints."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors

from splitnest.data.augmentations.augmentations import Augmentations, Views
from splitnest.data.augmentations.view import View, from_pixels, is_same_target, to_pixels
from splitnest.data.images.normalize import normalize
from splitnest.data.images.warp import warp_points
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
        self.augmentations = Augmentations(self.train_cfg.augment, self.input_cfg, self.train_cfg.seed)
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
        pixels, keypoints, size_hw = self._read(epoch, index)
        if self.augmentations:
            views = Views(
                lambda other: _view(*self._read(epoch, other)[:2]), len(self), self._cite, self.input_cfg.size_hw
            )
            before = _view(pixels, keypoints)
            image, target = self.augmentations(before, views, epoch, index)
            pixels = to_pixels(image)
            if not is_same_target(target, before[1]):
                keypoints = _keypoints(target, self.input_cfg.size_hw)
        return TrainingSample(
            image=normalize(pixels, self.input_cfg),
            original_size=size_hw,
            name=self._cite(index),
            keypoints=torch.from_numpy(keypoints),
        )

    def _read(self, epoch: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], tuple[int, int]]:
        """Return a crop with its keypoints after the augmentation by the keys of the recipe, and the image's size."""
        dataset, row = self.dataset, int(self.rows[index])
        pixels = dataset.read(int(dataset.file.image_index[row]))
        keypoints = dataset.keypoints[row].astype(np.float32)
        keypoints[:, 2] = keypoints[:, 2] > 0
        region = CropRegion.from_box(dataset.boxes[row], self.input_cfg.padding)
        rng = generator(self.train_cfg.seed, epoch, index)
        person = augment(AnnotatedPerson(pixels, region, keypoints), dataset.skeleton, self.train_cfg, rng)
        size_hw = self.input_cfg.size_hw
        region = person.region.with_aspect_ratio(self.input_cfg.width / self.input_cfg.height)
        warped = person.keypoints.copy()
        warped[:, :2] = warp_points(person.keypoints[:, :2], crop_matrix(region, size_hw, self.input_cfg.udp))
        return crop(person.pixels, region, size_hw, self.input_cfg.udp), warped, (pixels.shape[0], pixels.shape[1])

    def _cite(self, index: int) -> str:
        return self.dataset.cite(int(self.rows[index]))

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each sample in pixels, ``[len(self), 2]``: those of the crop."""
        return np.tile(np.array(self.input_cfg.size_hw, np.int64), (len(self), 1))

    def summary(self) -> list[str]:
        """Return the number of persons and images in a line."""
        return [f"{len(self)} of {len(self.dataset.file.ids)} persons in {len(self.dataset)} images"]


def _view(pixels: NDArray[np.uint8], keypoints: NDArray[np.float32]) -> View:
    """Return a crop with its keypoints, ``[K, 3]``, as a view."""
    points = tv_tensors.KeyPoints(torch.from_numpy(keypoints[:, :2].copy()), canvas_size=pixels.shape[:2])
    return from_pixels(pixels), {"keypoints": points, "visible": torch.from_numpy(keypoints[:, 2] > 0)}


def _keypoints(target: dict[str, Any], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Return the keypoints of a target, ``[K, 3]``; those outside the image are not labeled."""
    points, (height, width) = target["keypoints"].as_subclass(Tensor).to(torch.float32), size_hw
    inside = (points >= 0).all(dim=1) & (points[:, 0] <= width - 1) & (points[:, 1] <= height - 1)
    return torch.cat([points, (target["visible"] & inside)[:, None].to(torch.float32)], dim=1).numpy()
