"""Detection and instance segmentation."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.detection.check import DetectionFindings, check_dataset, print_report
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.open import open_dataset, with_file_classes
from splitnest.data.detection.sequence import SequenceDetection
from splitnest.data.images.normalize import normalize, resize_image
from splitnest.data.items import Items
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.metrics.coco import CocoEvaluator, IouType
from splitnest.metrics.evaluator import Evaluator
from splitnest.models.build import build_categories
from splitnest.recipe import DetectionRecipe, Split, required_training
from splitnest.recipe.augmentation import Pad
from splitnest.structures import Detections, PanopticSegmentation
from splitnest.structures.batch import Batch
from splitnest.structures.instances import dense_masks
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks.base import Task


class DetectionTask(Task[DetectionRecipe, DetectionDataset]):
    """Detection and instance segmentation: whole images, padded to batches, COCO metrics."""

    pads_batches = True
    has_boxes = True
    published_tta = ("_tta_testdev", "test-dev")

    def complete(self, recipe: DetectionRecipe) -> tuple[DetectionRecipe, list[str]]:
        """Replace ``data.classes: file`` by the classes of the annotation files."""
        return with_file_classes(recipe)

    def open_dataset(self, recipe: DetectionRecipe, split: Split) -> DetectionDataset:
        """Open one split of the dataset."""
        return open_dataset(recipe.data, split, build_categories(recipe))

    def wrap(self, items: Items, recipe: DetectionRecipe) -> DetectionDataset:
        """Return a dataset over images with ``Instances``."""
        return SequenceDetection(items, build_categories(recipe))

    def training_set(self, dataset: DetectionDataset, recipe: DetectionRecipe) -> TrainingSet:
        """Return the training samples of a dataset."""
        from splitnest.data.detection.training_set import DetectionTrainingSet

        return DetectionTrainingSet(dataset, recipe)

    def check(self, dataset: DetectionDataset, recipe: DetectionRecipe, split: Split) -> DetectionFindings:
        """Check a dataset, print the findings and the annotations that training excludes, and return the findings."""
        from splitnest.data.detection.training_set import DetectionTrainingSet

        findings = check_dataset(dataset)
        print_report(findings, split)
        if split == "train" and recipe.train is not None and not findings.faults:
            for reason, count in DetectionTrainingSet(dataset, recipe).excluded.items():
                print(f"excluded from training: {count} {reason}")
        elif dataset.has_annotations and recipe.has_masks:
            CocoEvaluator(
                dataset, ("segm",), skip_without_mask=skips_without_mask(recipe)
            )  # raises if masks cannot be used
        return findings

    def evaluator(self, dataset: DetectionDataset, recipe: DetectionRecipe) -> Evaluator:
        """Return an evaluator of COCO metrics, of masks too if the model has them."""
        iou_types: tuple[IouType, ...] = ("bbox", "segm") if recipe.has_masks else ("bbox",)
        return CocoEvaluator(dataset, iou_types, skip_without_mask=skips_without_mask(recipe))

    def empty_result(self, recipe: DetectionRecipe, size: tuple[int, int]) -> Detections | PanopticSegmentation:
        """Return a result without instances."""
        return Detections.empty(size, build_categories(recipe), masks=recipe.has_masks)

    def ground_truth(
        self, dataset: DetectionDataset, index: int, recipe: DetectionRecipe
    ) -> Detections | PanopticSegmentation:
        """Return the annotations of one image as detections."""
        return dataset.ground_truth(index, masks=recipe.has_masks)

    def sample_result(self, batch: Batch, number: int, dataset: DetectionDataset) -> Detections | PanopticSegmentation:
        """Return the instances of one image of a training batch as detections."""
        assert batch.instances is not None
        instances, size_hw = batch.instances[number], batch.sizes[number]
        return Detections(
            boxes=instances.boxes.numpy().astype(np.float32),
            scores=np.ones(len(instances), np.float32),
            labels=instances.labels.numpy(),
            masks=None if instances.masks is None else dense_masks(instances.masks, size_hw),
            image_size=size_hw,
            categories=dataset.categories,
        )

    def prepare(
        self,
        image: NDArray[np.uint8],
        recipe: DetectionRecipe,
        *,
        resize: bool = True,
        dtype: torch.dtype = torch.float32,
        person_boxes: PersonBoxes | None = None,
    ) -> PreparedImage:
        """Resize an image to the limits of the recipe and normalize it."""
        resized = resize_image(image, recipe.input) if resize else image
        return PreparedImage(normalize(resized, recipe.input, dtype)[None], (image.shape[0], image.shape[1]))

    def divisor(self, recipe: DetectionRecipe) -> int:
        """Return ``input.divisor``."""
        return recipe.input.divisor

    def without_augmentation(self, recipe: DetectionRecipe) -> dict[str, Any]:
        """Return values of the section ``train`` with which images are not augmented, by key."""
        return {
            "short_sides": (recipe.input.short_side,),
            "long_side": recipe.input.long_side,
            **{"flip": 0.0, "crop": None, "color_jitter": 0.0},
            **{"resize_ratios": (1.0, 1.0), "crop_size": None, "pad_size": None},
        }

    def max_training_size(self, recipe: DetectionRecipe) -> tuple[int, int]:
        """Return the largest short side by the longest side, padded."""
        train_cfg, padded = required_training(recipe), recipe.input.padded
        sides = min(max(train_cfg.short_sides), train_cfg.long_side), train_cfg.long_side
        short, long = (max(1, int(side * train_cfg.resize_ratios[1])) for side in sides)
        if train_cfg.crop_size is not None:
            short, long = min(short, max(train_cfg.crop_size)), min(long, max(train_cfg.crop_size))
        for least in (train_cfg.pad_size, *(entry.size for entry in train_cfg.augment if isinstance(entry, Pad))):
            short, long = max(short, min(least or (1,))), max(long, max(least or (1,)))
        return padded(short), padded(long)


def skips_without_mask(recipe: DetectionRecipe) -> bool:
    """Return whether instances without a segmentation are skipped."""
    return recipe.train is not None and recipe.train.without_mask == "skip"
