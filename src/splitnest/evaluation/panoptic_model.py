"""What a panoptic model finds in a whole data set: its quality, and COCO's file of results."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splitnest.data.coco import CocoDetection
from splitnest.data.panoptic_labels import PanopticDataset
from splitnest.errors import DataError
from splitnest.evaluation.coco import CocoEvaluator
from splitnest.evaluation.panoptic import PanopticEvaluator
from splitnest.files import replacing, write_json
from splitnest.results import PanopticSegmentation


class PanopticModelEvaluator:
    """Collects segmentations image by image: panoptic quality, and average precision of the instances that were merged.

    Args:
        dataset: Photographs with segments and instances, or without annotations.

    Raises:
        DataError: An instance has no outline.
    """

    def __init__(self, dataset: CocoDetection) -> None:
        assert isinstance(dataset, PanopticDataset)  # of a panoptic recipe
        self._labels = dataset.labels if dataset.has_annotations else None
        self._quality = PanopticEvaluator(dataset.panoptic_categories)
        self._instances = CocoEvaluator(dataset)
        self._ids = np.array(dataset.panoptic_categories.ids)
        self._index_of = {image_id: index for index, image_id in enumerate(dataset.image_ids)}
        self._rows: list[dict[str, Any]] = []
        self._pngs: list[bytes] = []  # 5 to 20 kB each

    def update(self, image_id: int, found: PanopticSegmentation) -> None:
        """Add what was found in one image. Images that are never added count for instances alone.

        Raises:
            ValueError: There is no such image, it was added before, or what was found does not fit it.
            DataError: The labels of the image cannot be read.
        """
        if found.detections is None:
            raise ValueError(f"the segmentation of image {image_id} is without the instances it was merged from")
        self._instances.update(image_id, found.detections)
        if self._labels is not None:
            self._quality.update(self._labels(self._index_of[image_id]), found)
        row = found.to_coco(image_id)
        for segment, info in zip(row["segments_info"], found.segments_info, strict=True):
            segment["category_id"] = int(self._ids[info["category"]])  # as the file numbers it
        png = io.BytesIO()
        Image.fromarray(found.to_coco_png()).save(png, "PNG")
        self._rows.append(row)
        self._pngs.append(png.getvalue())

    def state(self) -> tuple[Any, Any, list[dict[str, Any]], list[bytes]]:
        """Return the states of both metrics, and the rows and PNGs of the results."""
        return self._quality.state(), self._instances.state(), self._rows, self._pngs

    def merge(self, state: tuple[Any, Any, list[dict[str, Any]], list[bytes]]) -> None:
        """Add other images."""
        quality, instances, rows, pngs = state
        self._quality.merge(quality)
        self._instances.merge(instances)
        both = zip([*self._rows, *rows], [*self._pngs, *pngs], strict=True)
        ordered = sorted(both, key=lambda result: self._index_of[result[0]["image_id"]])
        self._rows, self._pngs = [row for row, _ in ordered], [png for _, png in ordered]

    def compute(self) -> dict[str, float]:
        """Return the metrics of ``PanopticEvaluator``, then those of ``CocoEvaluator``, from 0 to 1.

        Raises:
            DataError: The data set has no annotations.
        """
        return self._quality.compute() | self._instances.compute()

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``pq``, ``sq`` and ``rq`` of each class by its name, of things ``box_ap`` and ``mask_ap`` too.

        Raises:
            DataError: As ``compute``.
        """
        precisions = self._instances.per_class()
        qualities = self._quality.per_class()
        return {name: qualities.get(name, {}) | precisions.get(name, {}) for name in qualities | precisions}

    def write(self, path: str | Path) -> None:
        """Write a COCO panoptic results file, and beside it the folder of PNGs that has its name without ``.json``.

        An older file goes first and the new one comes last: while there is one, all PNGs of it are there.

        Raises:
            DataError: A file cannot be written.
        """
        path = Path(path)
        folder = path.with_suffix("")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            for row, png in zip(self._rows, self._pngs, strict=True):
                with replacing(folder / row["file_name"]) as file:
                    file.write(png)
        except OSError as error:
            raise DataError(f"{path} cannot be written ({error.strerror or error}). Check the folder.") from error
        write_json(path, {"annotations": self._rows})
