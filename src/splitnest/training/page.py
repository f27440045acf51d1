"""A page of predictions beside ground truth."""

import numpy as np

from splitnest.data.coco import CocoDetection, Sample
from splitnest.data.coco_file import Segmentation, sound
from splitnest.data.panoptic_labels import PanopticDataset
from splitnest.model import Model
from splitnest.predictor import Predictor
from splitnest.recipe import DetectionRecipe
from splitnest.results import Detections, PanopticSegmentation
from splitnest.results.interop import polygons_to_mask, rle_to_mask
from splitnest.visualize import contact_sheet

PHOTOGRAPHS = 8
"""How many are on a page, spread over the data set."""


def predictions_page(model: Model, recipe: DetectionRecipe, dataset: CocoDetection) -> np.ndarray | None:
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
        sample = dataset[index]
        (found,) = predictor.predict(sample.image)
        assert isinstance(found, Detections | PanopticSegmentation)
        if isinstance(dataset, PanopticDataset):
            truth = dataset.labels(index).to_result(dataset.panoptic_categories).draw(sample.image)
        else:
            objects = ground_truth(sample, dataset, masks=recipe.model.mask_convs > 0)
            truth = objects.draw(sample.image, scores=False)
        pictures += [truth, found.draw(sample.image)]
        titles += [f"ground truth: {sample.file_name}", "predicted"]
    return contact_sheet(pictures, titles, cell_width=400) if pictures else None


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
