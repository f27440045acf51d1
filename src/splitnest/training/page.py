"""A page of predictions beside ground truth."""

from typing import NamedTuple

import numpy as np

from splitnest.data.coco import CocoDetection, Sample
from splitnest.data.coco_file import Segmentation, sound
from splitnest.data.panoptic_labels import PanopticDataset
from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.semantic_labels import SemanticDataset
from splitnest.model import Model
from splitnest.predictor import Predictor
from splitnest.recipe import Recipe
from splitnest.results import Detections, PanopticSegmentation, Poses, SemanticSegmentation
from splitnest.results.interop import polygons_to_mask, rle_to_mask, xyxy_to_xywh
from splitnest.visualize import contact_sheet

PHOTOGRAPHS = 8
"""How many are on a page, spread over the data set."""


DRAWN = 0.5
"""Score from which people that a detector found are looked at."""


class Shown(NamedTuple):
    """A photograph, uint8 ``[H, W, 3]``, and its ground truth as if it had been predicted."""

    name: str
    image: np.ndarray
    truth: Detections | PanopticSegmentation | SemanticSegmentation | Poses


def predictions_page(model: Model, recipe: Recipe, dataset: CocoDetection | SemanticDataset) -> np.ndarray | None:
    """Draw photographs of ``dataset``, each with its ground truth and beside it with what the model finds.

    Args:
        model: In evaluation mode.
        recipe: Of the model.
        dataset: With annotations.

    Returns:
        uint8 [H, W, 3]; None for a data set without photographs.

    Raises:
        DataError: A photograph or its labels cannot be read.
    """
    predictor = Predictor(model, recipe)
    pictures, titles = [], []
    for index in np.unique(np.linspace(0, len(dataset) - 1, min(PHOTOGRAPHS, len(dataset)), dtype=int)).tolist():
        name, image, truth = _shown(dataset, index, masks=recipe.task == "instance")
        people = None
        if isinstance(dataset, PeopleDataset):
            people = [xyxy_to_xywh(dataset.people(index).above(DRAWN).boxes)]
        (found,) = predictor.predict(image, batch_size=PHOTOGRAPHS, boxes_xywh=people)
        assert isinstance(found, type(truth))
        pictures += [truth.draw(image, scores=False) if isinstance(truth, Detections) else truth.draw(image)]
        pictures += [found.draw(image)]
        titles += [f"ground truth: {name}", "predicted"]
    return contact_sheet(pictures, titles, cell_width=400) if pictures else None


def _shown(dataset: CocoDetection | SemanticDataset, index: int, masks: bool) -> Shown:
    if isinstance(dataset, SemanticDataset):
        image, labels = dataset.read(index), dataset.labels(index)
        size_hw = image.shape[0], image.shape[1]
        truth = SemanticSegmentation(labels, image_size=size_hw, categories=dataset.categories)
        return Shown(dataset.name(index), image, truth)
    if isinstance(dataset, PeopleDataset):
        return Shown(dataset.name(index), dataset.read(index), true_poses(dataset, index))
    sample = dataset[index]
    if isinstance(dataset, PanopticDataset):
        segments = dataset.labels(index).to_result(dataset.panoptic_categories)
        return Shown(sample.file_name, sample.image, segments)
    return Shown(sample.file_name, sample.image, ground_truth(sample, dataset, masks))


def true_poses(dataset: PeopleDataset, index: int) -> Poses:
    """Return the people of a photograph as if they had been found: with certainty where a keypoint is labelled."""
    rows = dataset.rows(index)
    rows = rows[dataset.has_pose[rows]]
    height, width = dataset.file.sizes_hw[index].tolist()
    return Poses(
        keypoints=dataset.keypoints[rows, :, :2].astype(np.float32),
        scores=(dataset.keypoints[rows, :, 2] > 0).astype(np.float32),
        boxes=dataset.boxes[rows].astype(np.float32),
        box_scores=np.ones(len(rows), np.float32),
        image_size=(height, width),
        categories=dataset.categories,
    )


def ground_truth(sample: Sample, dataset: CocoDetection, masks: bool) -> Detections:
    """Return the annotations of a photograph as if they had been found with certainty.

    Crowd regions and boxes without area are left out, and of outlines what cannot be drawn.
    """
    has_area = (sample.boxes[:, 2:] > sample.boxes[:, :2]).all(axis=1) & np.isfinite(sample.boxes).all(axis=1)
    rows = np.flatnonzero(~sample.iscrowd & has_area)
    height, width = sample.image.shape[:2]
    outlines = [_mask(sample.segmentations[row], (height, width)) for row in rows.tolist()] if masks else []
    return Detections(
        boxes=sample.boxes[rows],
        scores=np.ones(len(rows), np.float32),
        labels=sample.labels[rows],
        masks=np.stack(outlines) if outlines else np.zeros((0, height, width), bool) if masks else None,
        image_size=(height, width),
        categories=dataset.categories,
    )


def _mask(outline: Segmentation, size_hw: tuple[int, int]) -> np.ndarray:
    if isinstance(outline, dict):
        return rle_to_mask(outline) if outline["size"] == list(size_hw) else np.zeros(size_hw, bool)
    return polygons_to_mask(sound(outline), size_hw)
