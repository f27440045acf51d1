"""Mean IoU of semantic segmentation, and label maps in the form of the data set."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.semantic_labels import SemanticDataset, unlabelled
from splitnest.errors import DataError
from splitnest.files import replacing
from splitnest.results import SemanticSegmentation

METRICS = {"miou": "mIoU", "macc": "mAcc", "pixel_accuracy": "aAcc"}
"""Our names of the metrics, and hotcoco's."""


class SemanticEvaluator:
    """Collects segmentations image by image, in a confusion matrix (hotcoco's), and their label maps as PNG files.

    Pixels without a label in the ground truth do not count.

    Args:
        dataset: Photographs with label maps, or without.
        ids: Number of each class in the files that are written, where 0 is no class; None for its index.
        keeps_maps: So that they can be written afterwards.

    Raises:
        DataError: A photograph has no label map, although others have.
    """

    def __init__(self, dataset: SemanticDataset, ids: Sequence[int] | None = None, *, keeps_maps: bool = True) -> None:
        from hotcoco.semantic import SemanticEval

        dataset.require_label_maps()
        self._dataset, self._ids = dataset, ids
        self._pixels = SemanticEval(len(dataset.categories), ignore_index=unlabelled(dataset.categories))
        self._keeps_maps = keeps_maps
        self._pngs: dict[int, bytes] = {}  # 10 to 40 kB each, or nothing

    def update(self, image_id: int, found: SemanticSegmentation) -> None:
        """Add what was found in the photograph of that index.

        Raises:
            ValueError: There is no such photograph, it was added before, or what was found does not fit it.
            DataError: The label map cannot be read.
        """
        if image_id in self._pngs or not 0 <= image_id < len(self._dataset):
            raise ValueError(f"there is no photograph {image_id}, or it was added before")
        if self._dataset.has_annotations:
            self._pixels.update(self._dataset.labels(image_id), found.labels)
        self._pngs[image_id] = _png(self._numbered(found.labels)) if self._keeps_maps else b""

    def state(self) -> tuple[Any, dict[int, bytes]]:
        """Return the confusion matrix and the label maps as PNG files."""
        return self._pixels, self._pngs

    def merge(self, state: tuple[Any, dict[int, bytes]]) -> None:
        """Add other photographs."""
        pixels, pngs = state
        self._pixels.merge(pixels)
        self._pngs |= pngs

    def compute(self) -> dict[str, float]:
        """Return ``miou``, ``macc`` and ``pixel_accuracy`` from 0 to 1, -1 where there is nothing to measure.

        ``miou`` is the mean IoU of the classes that occur in ground truth or segmentations; ``macc`` the mean share of
        a class's pixels that were found, of the classes that occur in the ground truth; ``pixel_accuracy`` that share
        of all pixels.
        """
        results = self._pixels.results()
        return {name: float(results[theirs]) for name, theirs in METRICS.items()}

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``iou`` and ``accuracy`` of each class by its name; -1 where it does not occur."""
        rows = self._pixels.results()["per_class"]
        return {
            category.name: {"iou": float(row["IoU"]), "accuracy": float(row["Acc"])}
            for category, row in zip(self._dataset.categories, rows, strict=True)
        }

    def write(self, path: str | Path) -> None:
        """Write into the folder ``path`` a label map for each photograph: a PNG file of its name.

        That is what the servers of Cityscapes and of ADE20K take.

        Raises:
            ValueError: The maps were not kept.
            DataError: A file cannot be written.
        """
        if not self._keeps_maps:
            raise ValueError("the label maps were not kept")
        for index, png in self._pngs.items():
            target = Path(path, PurePath(self._dataset.name(index)).with_suffix(".png"))
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as file:
                    file.write(png)
            except OSError as error:
                raise DataError(f"{target} cannot be written ({error.strerror or error}). Check the folder.") from error

    def _numbered(self, labels: NDArray[np.integer]) -> NDArray[np.integer]:
        if self._ids is None:
            return labels
        numbers = np.zeros(np.iinfo(labels.dtype).max + 1, np.uint8 if max(self._ids) < 256 else np.uint16)
        numbers[: len(self._ids)] = self._ids
        return numbers[labels]


def _png(labels: NDArray[np.integer]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    return file.getvalue()
