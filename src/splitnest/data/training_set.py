"""Photographs with ground truth as a detector is trained on them: filtered by the rules of its source, and augmented.

I photographs of the data set, N annotations of it.
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from splitnest.batch import InstanceMask, Instances
from splitnest.data.augment import augment
from splitnest.data.coco import CocoDetection
from splitnest.data.coco_file import Segmentation, sound
from splitnest.data.labelled import Labelled
from splitnest.data.panoptic_labels import PanopticDataset
from splitnest.data.transforms import normalise
from splitnest.errors import DataError, UsageError
from splitnest.recipe.schema import DetectionRecipe
from splitnest.recipe.training import Training
from splitnest.results.interop import rle_to_mask

_T = TypeVar("_T", bound=Training, covariant=True)

LEAST_SIDE = 1e-5
"""Side in pixels that a box has after augmentation, or it is left out (detectron2 ``filter_empty_instances``)."""


@dataclass(frozen=True)
class TrainingSample:
    """One photograph and its ground truth, augmented.

    Attributes:
        image: float32 ``[3, h, w]``, normalised, neither padded nor batched.
        instances: In pixels of ``image``; without masks for a model that has none.
        original_size: (height, width) of the photograph.
        name: What it is called in messages.
        semantic: uint8 ``[h, w]`` for a panoptic model, see ``PanopticLabels.separated``.
    """

    image: Tensor
    instances: Instances
    original_size: tuple[int, int]
    name: str
    semantic: Tensor | None = None


class TrainingSet(Dataset[TrainingSample]):
    """The photographs of a data set that take part in training, with the annotations that do.

    ``training_set[epoch, index]`` is augmented at random, depending on the seed, the epoch and the photograph alone.

    Args:
        dataset: Photographs and annotations; a ``PanopticDataset`` for a panoptic model.
        recipe: With a section ``train``, whose filters are applied.

    Attributes:
        left_out: What takes no part -> how many of it.

    Raises:
        UsageError: The recipe has no section ``train``.
        DataError: No photograph takes part, or a model with masks meets an annotation without any outline.
    """

    def __init__(self, dataset: CocoDetection, recipe: DetectionRecipe) -> None:
        self.dataset, self.train, self.input = dataset, required_training(recipe), recipe.input
        self.has_masks = recipe.model.mask_convs > 0
        self._panoptic: PanopticDataset | None = None
        if recipe.task == "panoptic":
            assert isinstance(dataset, PanopticDataset)  # open_dataset sees to it
            self._panoptic = dataset
        self.left_out: dict[str, int] = {}
        self._takes_part = np.ones(len(dataset.file.ids), bool)
        self._leave_out_annotations(recipe.model.conventions.rle_instances == "kept")
        self._indices = self._choose_photographs()
        if not len(self._indices):
            raise DataError(self._why_empty())

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, key: tuple[int, int]) -> TrainingSample:
        """Read and augment one photograph.

        Args:
            key: Epoch, and index of the photograph among those that take part.

        Raises:
            DataError: It cannot be read, or has not the size that the annotation file states.
        """
        epoch, index = key
        image_index = int(self._indices[index])
        sample = self.dataset[image_index]
        kept = np.flatnonzero(self._takes_part[self.dataset.rows(image_index)])
        masks = [_mask(sample.segmentations[row]) for row in kept.tolist()] if self.has_masks else []
        labelled = Labelled.of(sample.image, sample.boxes[kept], masks, self._semantic(image_index))
        rng = np.random.default_rng(np.random.SeedSequence(self.train.seed, spawn_key=(epoch, image_index)))
        changed = augment(labelled, self.input, self.train, rng)
        return TrainingSample(
            image=normalise(changed.pixels, self.input),
            instances=self._instances(changed, sample.labels[kept]),
            original_size=(sample.image.shape[0], sample.image.shape[1]),
            name=sample.file_name,
            semantic=None if changed.semantic is None else changed.semantic.as_subclass(Tensor),
        )

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each photograph in pixels, ``[len(self), 2]``."""
        return self.dataset.file.sizes_hw[self._indices]

    @property
    def num_instances(self) -> int:
        """Annotations that take part."""
        return int(self._takes_part.sum())

    def _leave_out_annotations(self, keeps_rle: bool) -> None:
        file, outlines = self.dataset.file, self.dataset.file.segmentations
        left, top, width, height = file.boxes_xywh.T
        image_height, image_width = file.sizes_hw[file.image_index].T
        inside_width = np.minimum(left + width, image_width) - np.maximum(left, 0)
        inside_height = np.minimum(top + height, image_height) - np.maximum(top, 0)
        side = self.train.min_box_side
        self._leave_out("crowd regions", file.iscrowd)
        self._leave_out("boxes without area", np.minimum(width, height) <= 0)
        self._leave_out("boxes outside of their photograph", np.minimum(inside_width, inside_height) <= 0)
        self._leave_out(f"boxes under {side:g} pixels wide or high", np.minimum(width, height) < side)
        if not self.has_masks:
            return
        is_rle = outlines.is_rle()
        if not keeps_rle:
            self._leave_out("objects with an RLE for a mask", is_rle)
        self._refuse(~is_rle & (outlines.num_polygons() == 0), "no segmentation, which a model with masks needs")
        other_size = (outlines.rle_sizes != file.sizes_hw[file.image_index]).any(axis=1)
        self._refuse(is_rle & other_size, "an RLE of another size than its photograph")
        too_short = ~is_rle & (outlines.num_sound_polygons() == 0)
        self._leave_out("objects whose polygons have fewer than three points", too_short)

    def _refuse(self, which: NDArray[np.bool_], what: str) -> None:
        """Raise a DataError if one of these annotations, bool ``[N]``, takes part."""
        for row in np.flatnonzero(self._takes_part & which)[:1].tolist():
            raise DataError(
                f"{self.dataset.annotation_file}: {self.dataset.cite(row)} has {what}. Mend the file, or train a model "
                f"without masks."
            )

    def _leave_out(self, what: str, which: NDArray[np.bool_]) -> None:
        """Take annotations out, bool ``[N]``, and count those that still took part."""
        if count := int((self._takes_part & which).sum()):
            self.left_out[what] = count
        self._takes_part &= ~which

    def _choose_photographs(self) -> NDArray[np.int64]:
        """Return the indices of the photographs that take part; annotations of the others do not."""
        file, least = self.dataset.file, self.train.min_image_side
        large = file.sizes_hw.min(axis=1, initial=np.iinfo(np.int64).max) >= least
        if not large.all():
            self.left_out[f"photographs under {least} pixels wide or high"] = int((~large).sum())
        self._takes_part &= large[file.image_index]
        occupied = np.bincount(file.image_index[self._takes_part], minlength=len(large)) > 0
        if self.train.empty_images and occupied.any():
            return np.flatnonzero(large)
        if not (occupied | ~large).all():
            self.left_out["photographs without objects"] = int((large & ~occupied).sum())
        return np.flatnonzero(occupied)

    def _why_empty(self) -> str:
        source = self.dataset.annotation_file
        if not len(self.dataset):
            return f"{source} lists no photographs. Check the path."
        if not len(self._takes_part):
            return f"{source} has no annotations, so there is nothing to train on. Check the path."
        reasons = ", ".join(f"{what} ({count})" for what, count in self.left_out.items())
        return f"Nothing of {source} is left to train on; left out are: {reasons}. Check the annotations."

    def _semantic(self, image_index: int) -> Tensor | None:
        if self._panoptic is None:
            return None
        return torch.from_numpy(self._panoptic.labels(image_index).separated(len(self.dataset.categories)))

    def _instances(self, changed: Labelled, labels: NDArray[np.int64]) -> Instances:
        """Return what is left of the objects after a crop."""
        boxes, masks = changed.boxes.numpy().astype(np.float32), changed.masks()
        left = (boxes[:, 2:] - boxes[:, :2] > LEAST_SIDE).all(axis=1)
        if self.has_masks:
            left &= np.array([bool(mask.any()) if isinstance(mask, Tensor) else len(mask) > 0 for mask in masks], bool)
        rows = np.flatnonzero(left)
        return Instances(
            boxes=torch.from_numpy(boxes[rows]),
            labels=torch.from_numpy(labels[rows]),
            masks=tuple(masks[row] for row in rows.tolist()) if self.has_masks else None,
        )


class Trainable(Protocol[_T]):
    """A recipe that may say how its model is trained."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def train(self) -> _T | None:
        """How it is trained."""


def required_training(recipe: Trainable[_T]) -> _T:
    """Return how a recipe is trained.

    Raises:
        UsageError: It does not say.
    """
    if recipe.train is None:
        raise UsageError(f"{recipe.name} says nothing about training: it has no section train.")
    return recipe.train


def _mask(segmentation: Segmentation) -> InstanceMask:
    """Return sound polygons, or the bits of an RLE, bool ``[H, W]``."""
    if isinstance(segmentation, dict):
        return torch.from_numpy(rle_to_mask(segmentation))
    return sound(segmentation)
