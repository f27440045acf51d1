"""Training set of detection: annotations filtered by the rules of the recipe, and augmented images.

Shapes: N annotations of the dataset.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.data.augmentations.augmentations import Augmentations, Views
from splitnest.data.augmentations.view import View
from splitnest.data.class_counts import ClassCounts
from splitnest.data.detection.annotated_image import AnnotatedImage
from splitnest.data.detection.augment import augment
from splitnest.data.detection.augmented_view import annotated_image, view_of
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.panoptic import PanopticDataset
from splitnest.data.formats.annotation_file import Segmentation, valid_polygons
from splitnest.data.formats.faults import MAX_EXAMPLES
from splitnest.data.images.normalize import normalize
from splitnest.data.loading.sample import TrainingSample
from splitnest.data.loading.seeds import generator
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.errors import DataError
from splitnest.recipe import DetectionRecipe, required_training
from splitnest.structures.instances import InstanceMask, Instances
from splitnest.structures.masks import rle_to_mask

MIN_AUGMENTED_SIDE = 1e-5
"""Minimum side in pixels of a box after augmentation (detectron2 ``filter_empty_instances``)."""


class DetectionTrainingSet(TrainingSet):
    """Images of a dataset with the annotations that take part in training.

    Args:
        dataset: Images and annotations; a ``PanopticDataset`` for a panoptic model.
        recipe: Recipe with a training section, whose filters are applied.

    Attributes:
        excluded: Reason -> number of annotations or images that are excluded for it.

    Raises:
        UsageError: The recipe has no training section.
        DataError: No image takes part, or an annotation of a model with masks has no segmentation.
    """

    def __init__(self, dataset: DetectionDataset, recipe: DetectionRecipe) -> None:
        self.dataset: DetectionDataset = dataset
        self.train_cfg, self.input_cfg = required_training(recipe), recipe.input
        self.has_masks = recipe.has_masks
        self.augmentations = Augmentations(self.train_cfg.augment, self.input_cfg, self.train_cfg.seed)
        self._panoptic: PanopticDataset | None = None
        if recipe.model.panoptic is not None:
            assert isinstance(dataset, PanopticDataset)  # open_dataset opens no other for the task
            self._panoptic = dataset
        self.excluded: dict[str, int] = {}
        self._takes_part = np.ones(len(dataset.file.ids), bool)
        self._exclude_annotations(self.has_masks and (dataset.keeps_rle_masks or recipe.keeps_rle_masks))
        self._indices = self._included_images()
        if not len(self._indices):
            raise DataError(self._explain_empty())

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, key: tuple[int, int]) -> TrainingSample:
        """Read and augment one image.

        Args:
            key: Epoch, and index of the image among those that take part.

        Raises:
            DataError: The image cannot be read, or does not have the size that the annotation file gives.
        """
        epoch, index = key
        image_index = int(self._indices[index])
        image, labels = self._read(epoch, image_index)
        if self.augmentations:
            before = self._view(image, labels)
            views = Views(
                lambda other: self._view(*self._read(epoch, int(self._indices[other]))),
                len(self),
                lambda other: self.dataset.name(int(self._indices[other])),
            )
            image, labels = annotated_image(self.augmentations(before, views, epoch, index), before, image, labels)
        height, width = self.dataset.size_hw(image_index)
        return TrainingSample(
            image=normalize(image.pixels, self.input_cfg),
            original_size=(height, width),
            name=self.dataset.name(image_index),
            instances=self._instances(image, labels),
            semantic=None if image.semantic is None else image.semantic.as_subclass(Tensor),
        )

    def _read(self, epoch: int, image_index: int) -> tuple[AnnotatedImage, NDArray[np.int64]]:
        """Return an image after the augmentation by the keys of the recipe, and the class of each instance."""
        sample = self.dataset[image_index]
        kept = np.flatnonzero(self._takes_part[self.dataset.rows(image_index)])
        masks = [_to_mask(sample.segmentations[row]) for row in kept.tolist()] if self.has_masks else []
        image = AnnotatedImage.from_arrays(sample.image, sample.boxes[kept], masks, self._semantic(image_index))
        rng = generator(self.train_cfg.seed, epoch, image_index)
        return augment(image, self.input_cfg, self.train_cfg, rng), sample.labels[kept]

    def _view(self, image: AnnotatedImage, labels: NDArray[np.int64]) -> View:
        return view_of(image, labels, self.has_masks, with_target=not self.augmentations.change_pixels_only)

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """Height and width of each original image in pixels, ``[len(self), 2]``."""
        return self.dataset.file.sizes_hw[self._indices]

    @property
    def num_instances(self) -> int:
        """Number of annotations that take part."""
        return int(self._takes_part.sum())

    def class_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the sample and the class of each annotation that takes part."""
        images, labels = self.dataset.class_pairs(self._takes_part)
        return np.searchsorted(self._indices, images), labels

    def class_counts(self) -> list[ClassCounts]:
        """Return the number of annotations by class that take part, and of segments by stuff class."""
        return [self.dataset.count_instances(self._takes_part), *self.dataset.class_counts()[1:]]

    def summary(self) -> list[str]:
        """Return the number of images and annotations, exclusions and anomalies, in lines."""
        total = len(self._takes_part)
        lines = [f"{len(self)} of {len(self.dataset)} images with {self.num_instances} of {total} annotations"]
        lines += [f"  excluded: {count} {reason}" for reason, count in self.excluded.items()]
        anomalies = self.dataset.anomalies.items()
        lines += [f"  note: {len(rows)} annotations: {kind}" for kind, rows in anomalies if len(rows)]
        return lines + [f"  note: {line}" for line in self.dataset.describe_file_notes()]

    def _exclude_annotations(self, keep_rle_masks: bool) -> None:
        file, segmentations = self.dataset.file, self.dataset.file.segmentations
        left, top, width, height = file.boxes_xywh.T
        image_height, image_width = file.sizes_hw[file.image_index].T
        inside_width = np.minimum(left + width, image_width) - np.maximum(left, 0)
        inside_height = np.minimum(top + height, image_height) - np.maximum(top, 0)
        side = self.train_cfg.min_box_side
        self._exclude("crowd regions", file.iscrowd)
        self._exclude("boxes without area", np.minimum(width, height) <= 0)
        self._exclude("boxes outside the image", np.minimum(inside_width, inside_height) <= 0)
        self._exclude(f"boxes narrower or lower than {side:g} pixels", np.minimum(width, height) < side)
        if not self.has_masks:
            return
        is_rle = segmentations.is_rle()
        file.check_rle_sizes(self.dataset.source)
        if not keep_rle_masks:
            self._exclude("instances with RLE masks (model.conventions.rle_masks=kept trains on them)", is_rle)
        if self.train_cfg.without_mask == "skip":
            self._exclude("instances without a segmentation", file.has_no_segmentation)
        self._reject_without_segmentation(file.has_no_segmentation)
        degenerate = ~is_rle & (segmentations.num_valid_polygons() == 0)
        self._exclude("instances whose polygons have fewer than three vertices", degenerate)

    def _reject_without_segmentation(self, which: NDArray[np.bool_]) -> None:
        """Raise a DataError if instances without a segmentation, bool ``[N]``, take part."""
        rows = np.flatnonzero(self._takes_part & which)
        if len(rows):
            cited = ", ".join(self.dataset.cite(row) for row in rows[:MAX_EXAMPLES].tolist())
            raise DataError(
                f"{self.dataset.source}: {len(rows)} of {len(which)} annotations have no segmentation, which a model "
                f"with masks needs, such as {cited}. Complete the file, set train.without_mask=skip to leave "
                f"them out, or train a model without masks."
            )

    def _exclude(self, reason: str, which: NDArray[np.bool_]) -> None:
        """Exclude annotations, bool ``[N]``, and count those that were not excluded before."""
        if count := int((self._takes_part & which).sum()):
            self.excluded[reason] = count
        self._takes_part &= ~which

    def _included_images(self) -> NDArray[np.int64]:
        """Return the indices of the images that take part; annotations of other images are excluded."""
        file, min_side = self.dataset.file, self.train_cfg.min_image_side
        large = file.sizes_hw.min(axis=1, initial=np.iinfo(np.int64).max) >= min_side
        if not large.all():
            self.excluded[f"images narrower or lower than {min_side} pixels"] = int((~large).sum())
        self._takes_part &= large[file.image_index]
        annotated = np.bincount(file.image_index[self._takes_part], minlength=len(large)) > 0
        if self.train_cfg.keep_empty_images and annotated.any():
            return np.flatnonzero(large)
        if not (annotated | ~large).all():
            self.excluded["images without instances"] = int((large & ~annotated).sum())
        return np.flatnonzero(annotated)

    def _explain_empty(self) -> str:
        source = self.dataset.source
        if not len(self.dataset):
            return f"{source} lists no images. Check the path."
        if not len(self._takes_part):
            return f"{source} has no annotations, so there is nothing to train on. Check the path."
        reasons = ", ".join(f"{reason} ({count})" for reason, count in self.excluded.items())
        return f"No image of {source} takes part in training. Excluded are {reasons}. Check the annotations."

    def _semantic(self, image_index: int) -> Tensor | None:
        if self._panoptic is None:
            return None
        return torch.from_numpy(self._panoptic.labels(image_index).stuff_labels(len(self.dataset.categories)))

    def _instances(self, image: AnnotatedImage, labels: NDArray[np.int64]) -> Instances:
        """Return the instances that the crop left."""
        boxes, masks = image.boxes.numpy().astype(np.float32), image.masks()
        remains = (boxes[:, 2:] - boxes[:, :2] > MIN_AUGMENTED_SIDE).all(axis=1)
        if self.has_masks:
            nonempty = [bool(mask.any()) if isinstance(mask, Tensor) else len(mask) > 0 for mask in masks]
            remains &= np.array(nonempty, bool)
        rows = np.flatnonzero(remains)
        return Instances(
            boxes=torch.from_numpy(boxes[rows]),
            labels=torch.from_numpy(labels[rows]),
            masks=tuple(masks[row] for row in rows.tolist()) if self.has_masks else None,
        )


def _to_mask(segmentation: Segmentation) -> InstanceMask:
    """Return valid polygons, or the decoded RLE, bool ``[H, W]``."""
    if isinstance(segmentation, dict):
        return torch.from_numpy(rle_to_mask(segmentation))
    return valid_polygons(segmentation)
