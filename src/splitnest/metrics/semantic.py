"""Mean IoU of semantic segmentation, and label maps in the format of the dataset."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.files import write_bytes
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.report.analysis import Analysis, Slices
from splitnest.metrics.report.segmentation import analyze_semantic
from splitnest.metrics.statistics.pixels import PixelStatistics, pixel_counts
from splitnest.structures import SemanticSegmentation
from splitnest.visualize.write import encoded_image

METRICS = {"miou": "mIoU", "macc": "mAcc", "pixel_accuracy": "aAcc"}
"""Metric name -> its name in hotcoco."""


class SemanticEvaluator(Evaluator):
    """Confusion matrix of label maps (hotcoco's). Pixels that are unlabeled in the ground truth are ignored.

    Args:
        dataset: Images with label maps, or without.
        ids: Id of each class in written label maps, where 0 is no class; None writes class indices.
        keep_label_maps: Whether label maps are kept, for ``write``.

    Raises:
        DataError: Some images have no label map, although others have.
    """

    def __init__(
        self, dataset: SemanticDataset, ids: Sequence[int] | None = None, *, keep_label_maps: bool = True
    ) -> None:
        from hotcoco.semantic import SemanticEval

        dataset.require_label_maps()
        self._dataset, self._ids = dataset, ids
        unlabeled = SemanticSegmentation.unlabeled(dataset.categories)
        self._confusion = SemanticEval(len(dataset.categories), ignore_index=unlabeled)
        self._keep_label_maps = keep_label_maps
        self._pngs: dict[int, bytes] = {}  # 10 to 40 kB each, or empty
        self._counts: dict[int, NDArray[np.int64]] = {}  # pixels of each class in each image

    def update(self, image_id: int, result: SemanticSegmentation) -> None:
        """Add the label map of the image with this index.

        Raises:
            ValueError: There is no such image, it was added before, or the label map does not fit it.
            DataError: The ground truth cannot be read.
        """
        if image_id in self._pngs or not 0 <= image_id < len(self._dataset):
            raise ValueError(f"there is no image {image_id}, or it was added before")
        if self._dataset.has_annotations:
            before = pixel_counts(self._confusion.confusion())
            self._confusion.update(self._dataset.labels(image_id), result.labels)
            self._counts[image_id] = pixel_counts(self._confusion.confusion()) - before
        self._pngs[image_id] = encoded_image(self._to_ids(result.labels)) if self._keep_label_maps else b""

    def state(self) -> tuple[Any, dict[int, bytes], dict[int, NDArray[np.int64]]]:
        """Return the confusion matrix, the label maps as PNG files, and the pixels of the classes in each image."""
        return self._confusion, self._pngs, self._counts

    def merge(self, state: tuple[Any, dict[int, bytes], dict[int, NDArray[np.int64]]]) -> None:
        """Add other images."""
        confusion, pngs, counts = state
        self._confusion.merge(confusion)
        self._pngs |= pngs
        self._counts |= counts

    def compute(self) -> dict[str, float]:
        """Return ``miou``, ``macc`` and ``pixel_accuracy`` from 0 to 1, -1 without labeled pixels.

        ``miou`` is the mean IoU of the classes that occur in ground truth or predictions; ``macc`` the mean recall of
        pixels of the classes that occur in the ground truth; ``pixel_accuracy`` the fraction of correct pixels.
        """
        results = self._confusion.results()
        return {name: float(results[theirs]) for name, theirs in METRICS.items()}

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``iou`` and ``accuracy`` of each class by its name; -1 for a class that does not occur."""
        rows = self._confusion.results()["per_class"]
        return {
            category.name: {"iou": float(row["IoU"]), "accuracy": float(row["Acc"])}
            for category, row in zip(self._dataset.categories, rows, strict=True)
        }

    def result(self, image_id: int) -> SemanticSegmentation | None:
        """Return the label map of an image; None if label maps were not kept."""
        png = self._pngs.get(image_id)
        if not png:
            return None
        labels = np.asarray(Image.open(io.BytesIO(png)))
        if self._ids is not None:
            label_of = np.full(max(self._ids) + 1, SemanticSegmentation.unlabeled(self._dataset.categories), np.int64)
            label_of[list(self._ids)] = np.arange(len(self._ids))
            labels = label_of[labels]
        dtype, size_hw = SemanticSegmentation.label_dtype(self._dataset.categories), (labels.shape[0], labels.shape[1])
        return SemanticSegmentation(labels.astype(dtype), image_size=size_hw, categories=self._dataset.categories)

    def statistics(self) -> PixelStatistics:
        """Return the pixels of each class in each image."""
        none = np.zeros((3, len(self._dataset.categories)), np.int64)
        counts = [self._counts.get(index, none) for index in range(len(self._dataset))]
        return PixelStatistics(np.array(counts, np.int64).reshape(-1, *none.shape))

    def analyze(self, slices: Slices) -> Analysis:
        """Return IoU by class, confusions, and the worst images."""
        names = self._dataset.categories.names
        image_ids = range(len(self._dataset))
        return analyze_semantic(
            self._confusion.confusion(), names, self.per_class(), self.statistics(), image_ids, slices
        )

    def write(self, path: str | Path) -> None:
        """Write a PNG label map for each image, with its name, into a folder.

        This is the format of the evaluation servers of Cityscapes and ADE20K.

        Raises:
            ValueError: Label maps were not kept.
            OutputError: A file cannot be written.
        """
        if not self._keep_label_maps:
            raise ValueError("label maps were not kept")
        for index, png in self._pngs.items():
            write_bytes(Path(path, PurePath(self._dataset.name(index)).with_suffix(".png")), png)

    def _to_ids(self, labels: NDArray[np.integer]) -> NDArray[np.integer]:
        if self._ids is None:
            return labels
        ids = np.zeros(np.iinfo(labels.dtype).max + 1, np.uint8 if max(self._ids) < 256 else np.uint16)
        ids[: len(self._ids)] = self._ids
        return ids[labels]
