"""Metrics of panoptic segmentation on a dataset, and COCO's panoptic results files."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.detection.panoptic import PanopticDataset
from splitnest.files import output_errors, write_bytes, write_json
from splitnest.metrics.coco import CocoEvaluator
from splitnest.metrics.evaluator import Evaluator
from splitnest.metrics.panoptic_quality import PanopticQuality
from splitnest.metrics.report.analysis import Analysis, Slices, combined
from splitnest.metrics.report.segmentation import analyze_panoptic
from splitnest.metrics.statistics.base import ImageStatistics
from splitnest.metrics.statistics.combined import CombinedStatistics
from splitnest.metrics.statistics.segments import SegmentStatistics
from splitnest.structures import PanopticSegmentation, SegmentInfo
from splitnest.visualize.write import encoded_image

State = tuple[Any, Any, list[dict[str, Any]], list[bytes], dict[int, NDArray[np.float64]]]
"""States of both metrics, rows and PNG files of the results, and segments of each class in each image."""


class PanopticEvaluator(Evaluator):
    """Panoptic quality, and average precision of the instances before merging.

    Args:
        dataset: Images with segments and instances, or without annotations.
        skip_without_mask: Same as in ``CocoEvaluator``.

    Raises:
        DataError: An instance has no segmentation.
    """

    def __init__(self, dataset: PanopticDataset, *, skip_without_mask: bool = False) -> None:
        self._labels = dataset.labels if dataset.has_annotations else None
        self._quality = PanopticQuality(dataset.panoptic_categories)
        self._instances = CocoEvaluator(dataset, skip_without_mask=skip_without_mask)
        self._categories = dataset.panoptic_categories
        self._counts: dict[int, NDArray[np.float64]] = {}  # segments of each class in each image
        self._ids = np.array(dataset.panoptic_categories.ids)
        self._index_of = {image_id: index for index, image_id in enumerate(dataset.image_ids)}
        self._rows: list[dict[str, Any]] = []
        self._pngs: list[bytes] = []  # 5 to 20 kB each

    def update(self, image_id: int, result: PanopticSegmentation) -> None:
        """Add the segmentation of one image. Images that are never added count for instances only.

        Raises:
            ValueError: There is no such image, it was added before, or the segmentation does not fit it.
            DataError: The ground truth cannot be read.
        """
        if result.detections is None:
            raise ValueError(f"the segmentation of image {image_id} has no detections")
        self._instances.update(image_id, result.detections)
        if self._labels is not None:
            of_image = PanopticQuality(self._categories)
            of_image.update(self._labels(self._index_of[image_id]), result)
            self._counts[image_id] = of_image.counts()
            self._quality.merge(of_image.state())
        row = result.to_coco(image_id)
        for segment, info in zip(row["segments_info"], result.segments_info, strict=True):
            segment["category_id"] = int(self._ids[info["category"]])  # id of the annotation file
        self._rows.append(row)
        self._pngs.append(encoded_image(result.to_coco_png()))

    def state(self) -> State:
        """Return the states of both metrics, the rows and PNG files of the results, and the segments of each image."""
        return self._quality.state(), self._instances.state(), self._rows, self._pngs, self._counts

    def merge(self, state: State) -> None:
        """Add other images."""
        quality, instances, rows, pngs, counts = state
        self._counts |= counts
        self._quality.merge(quality)
        self._instances.merge(instances)
        results = zip([*self._rows, *rows], [*self._pngs, *pngs], strict=True)
        ordered = sorted(results, key=lambda result: self._index_of[result[0]["image_id"]])
        self._rows, self._pngs = [row for row, _ in ordered], [png for _, png in ordered]

    def compute(self) -> dict[str, float]:
        """Return the metrics of ``PanopticQuality``, then those of ``CocoEvaluator``, from 0 to 1.

        Raises:
            DataError: The dataset has no annotations.
        """
        return self._quality.compute() | self._instances.compute()

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return ``pq``, ``sq`` and ``rq`` of each class by its name; of thing classes also ``box_ap`` and ``mask_ap``.

        Raises:
            DataError: Same conditions as ``compute``.
        """
        precisions = self._instances.per_class()
        qualities = self._quality.per_class()
        return {name: qualities.get(name, {}) | precisions.get(name, {}) for name in qualities | precisions}

    def result(self, image_id: int) -> PanopticSegmentation | None:
        """Return the segments of an image that was added."""
        number = next((n for n, row in enumerate(self._rows) if row["image_id"] == image_id), None)
        if number is None:
            return None
        red, green, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(self._pngs[number]))).astype(np.int32), 2, 0)
        segments = red + 256 * green + 65536 * blue
        label_of = {id_: label for label, id_ in enumerate(self._ids.tolist())}
        infos = []
        for segment in self._rows[number]["segments_info"]:
            label = label_of[segment["category_id"]]
            info = SegmentInfo(
                id=segment["id"],
                category=label,
                isthing=self._categories[label].is_thing,
                score=None,
                area=segment["area"],
            )
            infos.append(info)
        size_hw = (segments.shape[0], segments.shape[1])
        return PanopticSegmentation(segments, infos, image_size=size_hw, categories=self._categories)

    def statistics(self) -> ImageStatistics:
        """Return the segments of each class in each image, and the matches of boxes and masks."""
        instances = self._instances.statistics()
        assert isinstance(instances, CombinedStatistics)
        return CombinedStatistics([self._segment_statistics(), *instances.parts])

    def analyze(self, slices: Slices) -> Analysis:
        """Return panoptic quality by class and the worst images, and the analysis of the instances."""
        image_ids = list(self._index_of)
        own = analyze_panoptic(self._quality.per_class(), self._segment_statistics(), image_ids, slices)
        of_instances = self._instances.analyze(slices)
        return replace(combined([own, of_instances]), label_errors=of_instances.label_errors)

    def _segment_statistics(self) -> SegmentStatistics:
        none = np.zeros((4, len(self._categories)))
        counts = [self._counts.get(image_id, none) for image_id in self._index_of]
        return SegmentStatistics(np.array(counts).reshape(-1, *none.shape))

    def write(self, path: str | Path) -> None:
        """Write a COCO panoptic results file, and the PNG files into a folder with its name without ``.json``.

        An earlier JSON file is removed first and the new one written last, so that its PNG files are always complete.

        Raises:
            OutputError: A file cannot be written.
        """
        path = Path(path)
        with output_errors(path):
            path.unlink(missing_ok=True)
            path.with_suffix("").mkdir(parents=True, exist_ok=True)  # also without any images
        for row, png in zip(self._rows, self._pngs, strict=True):
            write_bytes(path.with_suffix("") / row["file_name"], png)
        write_json(path, {"annotations": self._rows})
