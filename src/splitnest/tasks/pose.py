"""Top-down pose estimation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.items import Items
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.data.pose.check import PoseFindings, check_dataset, print_report
from splitnest.data.pose.crop import crop_people, no_people
from splitnest.data.pose.dataset import PoseDataset
from splitnest.data.pose.open import open_dataset, with_complete_keypoints
from splitnest.data.pose.person_boxes import PersonBoxes
from splitnest.data.pose.sequence import SequencePose
from splitnest.metrics.crowdpose import CrowdPoseEvaluator
from splitnest.metrics.distance_evaluator import DistanceEvaluator
from splitnest.metrics.keypoints import KeypointEvaluator
from splitnest.metrics.wholebody import WholeBodyEvaluator
from splitnest.models.build import build_categories
from splitnest.recipe import PoseRecipe, Split
from splitnest.recipe.pose_evaluation import CrowdPoseEvaluation, OksEvaluation, WholeBodyEvaluation
from splitnest.structures import Poses
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories
from splitnest.structures.prepared import PreparedImage
from splitnest.structures.skeleton import Skeleton, skeleton_of
from splitnest.tasks.base import Task


class PoseTask(Task[PoseRecipe, PoseDataset]):
    """Top-down pose estimation: a crop of one size for each person."""

    has_fixed_input_size = True
    uses_person_boxes = True

    def complete(self, recipe: PoseRecipe) -> tuple[PoseRecipe, list[str]]:
        """Read or assume the parts of the keypoint definition that the recipe does not give."""
        return with_complete_keypoints(recipe)

    def open_dataset(self, recipe: PoseRecipe, split: Split) -> PoseDataset:
        """Open one split of the dataset."""
        return open_dataset(recipe.data, split, build_categories(recipe), skeleton_of(recipe))

    def wrap(self, items: Items, recipe: PoseRecipe) -> PoseDataset:
        """Return a dataset over images with ``Instances`` that have keypoints."""
        return SequencePose(items, build_categories(recipe), skeleton_of(recipe))

    def training_set(self, dataset: PoseDataset, recipe: PoseRecipe) -> TrainingSet:
        """Return the training samples of a dataset."""
        from splitnest.data.pose.training_set import PoseTrainingSet

        return PoseTrainingSet(dataset, recipe)

    def check(self, dataset: PoseDataset, recipe: PoseRecipe, split: Split) -> PoseFindings:
        """Check a dataset, print the findings, and return them."""
        findings = check_dataset(dataset)
        print_report(findings, split)
        return findings

    def evaluator(self, dataset: PoseDataset, recipe: PoseRecipe) -> KeypointEvaluator | DistanceEvaluator:
        """Return an evaluator of the metrics of the recipe."""
        match recipe.metrics:
            case OksEvaluation() as cfg:
                return KeypointEvaluator(dataset, recipe.input, cfg.area == "box")
            case CrowdPoseEvaluation():
                return CrowdPoseEvaluator(dataset, recipe.input)
            case WholeBodyEvaluation():
                return WholeBodyEvaluator(dataset, recipe.input)
            case cfg:
                return DistanceEvaluator(dataset, cfg)

    def empty_result(self, recipe: PoseRecipe, size: tuple[int, int]) -> Poses:
        """Return a result without persons."""
        return Poses.empty(size, build_categories(recipe))

    def skeleton(self, recipe: PoseRecipe) -> Skeleton:
        """Return the keypoints of a recipe."""
        return skeleton_of(recipe)

    def ground_truth(self, dataset: PoseDataset, index: int, recipe: PoseRecipe) -> Poses:
        """Return the persons of one image as a result."""
        return dataset.poses(index)

    def sample_result(self, batch: Batch, number: int, dataset: PoseDataset) -> Poses:
        """Return the keypoints of one crop of a training batch as a pose whose box is the crop."""
        assert batch.keypoints is not None
        keypoints, (height, width) = batch.keypoints[number].numpy(), batch.sizes[number]
        return Poses(
            keypoints=keypoints[None, :, :2],
            scores=keypoints[None, :, 2],
            boxes=np.array([[0, 0, width, height]], np.float32),
            box_scores=np.ones(1, np.float32),
            image_size=(height, width),
            categories=dataset.categories,
        )

    def prepare(
        self,
        image: NDArray[np.uint8],
        recipe: PoseRecipe,
        *,
        resize: bool = True,
        dtype: torch.dtype = torch.float32,
        person_boxes: PersonBoxes | None = None,
    ) -> PreparedImage:
        """Crop the persons of an image and normalize the crops. ``resize`` has no effect."""
        if person_boxes is None:
            person_boxes = PersonBoxes.whole_image((image.shape[0], image.shape[1]))
        return crop_people(image, person_boxes, recipe.input, dtype)

    def prepare_item(self, dataset: PoseDataset, index: int, recipe: PoseRecipe) -> PreparedImage:
        """Crop the persons of one image of a dataset; an image without persons is not read."""
        people = dataset.people(index)
        if not len(people):
            return no_people(dataset.size_hw(index), recipe.input)
        return self.prepare(dataset.read(index), recipe, person_boxes=people)

    def combine(self, results: Sequence[Poses], prepared: PreparedImage, categories: Categories) -> Poses:
        """Concatenate the poses of the persons of an image."""
        return Poses.concatenate(results, prepared.original_size, categories)

    def published_percent(self, recipe: PoseRecipe) -> dict[str, float]:
        """Return the published metrics in percent, ``epe`` in pixels; the sources give most of them from 0 to 1."""
        return {
            key: round(100 * value, 6) if value <= 1 and key != "epe" else value
            for key, value in recipe.published.items()
        }

    def without_augmentation(self, recipe: PoseRecipe) -> dict[str, Any]:
        """Return values of the section ``train`` with which images are not augmented, by key."""
        return {**dict.fromkeys(("flip", "half_body", "shift_probability", "scale", "rotation_probability"), 0.0)}

    def max_training_size(self, recipe: PoseRecipe) -> tuple[int, int]:
        """Return the size of a crop."""
        return recipe.input.size_hw
