"""Mean IoU of semantic segmentation, and label maps in the format of the dataset."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.files import write_bytes
from splitnest.metrics.evaluator import Evaluator
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

    def update(self, image_id: int, result: SemanticSegmentation) -> None:
        """Add the label map of the image with this index.

        Raises:
            ValueError: There is no such image, it was added before, or the label map does not fit it.
            DataError: The ground truth cannot be read.
        """
        if image_id in self._pngs or not 0 <= image_id < len(self._dataset):
            raise ValueError(f"there is no image {image_id}, or it was added before")
        if self._dataset.has_annotations:
            self._confusion.update(self._dataset.labels(image_id), result.labels)
        self._pngs[image_id] = encoded_image(self._to_ids(result.labels)) if self._keep_label_maps else b""

    def state(self) -> tuple[Any, dict[int, bytes]]:
        """Return the confusion matrix, and the label maps as PNG files."""
        return self._confusion, self._pngs

    def merge(self, state: tuple[Any, dict[int, bytes]]) -> None:
        """Add other images."""
        confusion, pngs = state
        self._confusion.merge(confusion)
        self._pngs |= pngs

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
