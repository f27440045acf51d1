"""Panoptic segmentation."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.panoptic import PanopticDataset
from splitnest.data.detection.sequence import SequencePanoptic
from splitnest.data.items import Items
from splitnest.metrics.panoptic import PanopticEvaluator
from splitnest.models.build import build_categories
from splitnest.recipe import DetectionRecipe
from splitnest.structures import PanopticSegmentation
from splitnest.structures.batch import Batch
from splitnest.structures.instances import dense_masks
from splitnest.structures.panoptic_labels import UNLABELED, PanopticLabels
from splitnest.tasks.base import required_suffix
from splitnest.tasks.detection import DetectionTask, skips_without_mask


class PanopticTask(DetectionTask):
    """Panoptic segmentation: as detection, with a segment for each pixel and panoptic quality."""

    def wrap(self, items: Items, recipe: DetectionRecipe) -> DetectionDataset:
        """Return a dataset over images with ``PanopticLabels``."""
        return SequencePanoptic(items, build_categories(recipe))

    def evaluator(self, dataset: DetectionDataset, recipe: DetectionRecipe) -> PanopticEvaluator:
        """Return an evaluator of panoptic quality and COCO metrics."""
        return PanopticEvaluator(_panoptic(dataset), skip_without_mask=skips_without_mask(recipe))

    def empty_result(self, recipe: DetectionRecipe, size: tuple[int, int]) -> PanopticSegmentation:
        """Return a result without segments."""
        return PanopticSegmentation.empty(size, build_categories(recipe))

    def ground_truth(self, dataset: DetectionDataset, index: int, recipe: DetectionRecipe) -> PanopticSegmentation:
        """Return the segments of one image as a result."""
        panoptic = _panoptic(dataset)
        return panoptic.labels(index).to_result(panoptic.panoptic_categories)

    def sample_result(self, batch: Batch, number: int, dataset: DetectionDataset) -> PanopticSegmentation:
        """Return the stuff classes and the instances before them of one image of a training batch as segments."""
        assert batch.instances is not None
        assert batch.semantic is not None
        instances, (height, width), panoptic = batch.instances[number], batch.sizes[number], _panoptic(dataset)
        stuff = batch.semantic[number, :height, :width].numpy().astype(np.int32)
        segments = np.where((stuff == 0) | (stuff == UNLABELED), 0, stuff)
        num_things, num_stuff = len(panoptic.categories), len(panoptic.panoptic_categories) - len(panoptic.categories)
        for index, mask in enumerate(dense_masks(instances.masks or (), (height, width))):
            segments[mask] = num_stuff + 1 + index
        labels = np.append(num_things + np.arange(num_stuff), instances.labels.numpy())
        ids = np.unique(segments[segments > 0]).astype(np.int64)
        visible = PanopticLabels(segments, ids, labels[ids - 1], np.zeros(len(ids), bool))
        return visible.to_result(panoptic.panoptic_categories)

    def result_files(self, path: Path, dataset: DetectionDataset) -> Iterator[Path]:
        """Yield the JSON file and the PNG files beside it."""
        yield path
        for index in range(len(dataset)):
            yield path.with_suffix("") / f"{dataset.image_id(index):012d}.png"

    def check_results_path(self, path: Path) -> None:
        """Raise a UsageError for a file name without ``.json``: the PNG folder is named after it."""
        super().check_results_path(path)
        required_suffix(path, ".json", "panoptic results are a JSON file and a folder of PNG files beside it")


def _panoptic(dataset: DetectionDataset) -> PanopticDataset:
    if not isinstance(dataset, PanopticDataset):
        raise TypeError(f"{dataset.source} is not a panoptic dataset")
    return dataset
