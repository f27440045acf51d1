"""Detection and panoptic datasets from Python: a sequence of images with instances or segments.

Shapes: G instances of one image.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from splitnest.data.detection.dataset import OVERHANG, DetectionDataset
from splitnest.data.detection.panoptic import PanopticDataset, instances_of
from splitnest.data.formats.annotation_columns import from_rows
from splitnest.data.formats.annotation_file import AnnotationFile, Segmentation, valid_polygons
from splitnest.data.formats.coco_json import ImageRow
from splitnest.data.items import Items, SequenceImages, class_index, numbers, other_size
from splitnest.errors import DataError
from splitnest.structures.boxes import xyxy_to_xywh
from splitnest.structures.categories import Categories, things_of
from splitnest.structures.instances import Instances
from splitnest.structures.masks import mask_to_rle, polygons_to_mask
from splitnest.structures.panoptic_labels import PanopticLabels

Row = dict[str, Any]
"""Annotation in the form of COCO."""


class SizedImages(SequenceImages):
    """Images of a dataset from Python whose sizes are known beforehand; a mixin for datasets."""

    file: AnnotationFile

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels of an image, uint8 RGB ``[H, W, 3]``.

        Raises:
            DataError: The item cannot be used, or the image has another size than before.
        """
        pixels = super().read(index)
        height, width = self.file.sizes_hw[index].tolist()
        if pixels.shape[:2] != (height, width):
            raise other_size(self.name(index), pixels.shape, (height, width))
        return pixels


class SequenceDetection(SizedImages, DetectionDataset):
    """Images with ``Instances``. All targets are read by the constructor, images when they are used.

    Args:
        items: Images and targets.
        categories: Classes of the model.

    Raises:
        DataError: An item cannot be used.
    """

    keeps_rle_masks = True

    def __init__(self, items: Items, categories: Categories) -> None:
        self._items = items
        super().__init__(None, self._annotations(items, categories), items.name, categories)

    def _annotations(self, items: Items, categories: Categories) -> AnnotationFile:
        def rows_of(index: int, size_hw: tuple[int, int]) -> list[Row]:
            return instance_rows(items.target(index), index, size_hw, categories, items.cite(index))

        return annotation_file(items, categories, rows_of)


class SequencePanoptic(SizedImages, PanopticDataset):
    """Images with ``PanopticLabels``, from whose thing segments the instances are derived.

    Args:
        items: Images and targets.
        categories: Thing classes and then stuff classes of the model.

    Raises:
        DataError: An item cannot be used.
    """

    keeps_rle_masks = True

    def __init__(self, items: Items, categories: Categories) -> None:
        self._items, self.panoptic_categories = items, categories
        things = things_of(categories)

        def rows_of(index: int, size_hw: tuple[int, int]) -> list[Row]:
            labels = self.labels(index)
            if labels.size_hw != size_hw:
                raise other_size(items.cite(index), size_hw, labels.size_hw)
            return instances_of(labels, index, categories)

        super().__init__(None, annotation_file(items, things, rows_of), items.name, things)

    def labels(self, index: int) -> PanopticLabels:
        """Return the segments of one image."""
        labels, cite = self._items.target(index), self._items.cite(index)
        if not isinstance(labels, PanopticLabels):
            raise DataError(
                f"The target of {cite} is a {type(labels).__name__}. Give splitnest.PanopticLabels(segments, ids, "
                f"labels, iscrowd)."
            )
        class_index(int(labels.labels.max(initial=0)), len(self.panoptic_categories), f"A label of {cite}")
        return labels


def annotation_file(items: Items, categories: Iterable[Any], rows_of: Any) -> AnnotationFile:
    """Return all targets as the annotations of a file; ids of images are their indices.

    Args:
        items: Images and targets.
        categories: Classes of the model.
        rows_of: Function from an index and the (height, width) of its image to its annotations in COCO's form.

    Raises:
        DataError: An item cannot be used.
    """
    images: list[ImageRow] = []

    def rows() -> Iterator[Row]:
        for index in items.indices():
            size_hw = items.size_hw(index)
            images.append((index, items.cite(index), *size_hw))
            yield from rows_of(index, size_hw)

    return from_rows(items.name, images, [(category.id, category.name) for category in categories], rows())


def instance_rows(instances: Any, index: int, size_hw: tuple[int, int], categories: Categories, cite: str) -> list[Row]:
    """Return the instances of an image as annotations in COCO's form.

    Args:
        instances: Target of the item.
        index: Index of the item.
        size_hw: Height and width of the image in pixels.
        categories: Classes of the model.
        cite: Name of the item in messages.

    Raises:
        DataError: The target is not ``Instances``, or its boxes, labels or masks are not valid.
    """
    if not isinstance(instances, Instances):
        raise DataError(
            f"The target of {cite} is a {type(instances).__name__}. Give splitnest.Instances(boxes, labels, masks)."
        )
    count = len(instances)
    boxes = numbers(instances.boxes, (None, 4), f"The boxes of {cite}")
    _check_boxes(boxes, size_hw, cite)
    labels = [class_index(each, len(categories), f"A label of {cite}") for each in instances.labels]
    crowds = [False] * count if instances.iscrowd is None else [bool(each) for each in instances.iscrowd]
    masks: Sequence[Any] = [None] * count if instances.masks is None else instances.masks
    rows: list[Row] = []
    for box, label, iscrowd, mask in zip(xyxy_to_xywh(boxes).tolist(), labels, crowds, masks, strict=True):
        row: Row = {"image_id": index, "category_id": categories[label].id, "bbox": box, "iscrowd": iscrowd}
        if mask is not None:
            row["segmentation"], row["area"] = _segmentation(mask, size_hw, cite)
        rows.append(row)
    return rows


def _check_boxes(boxes: NDArray[np.float64], size_hw: tuple[int, int], cite: str) -> None:
    """Raise a DataError for a box that is not xyxy, or that lies outside its image by more than a pixel."""
    for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        box = f"Box {number} of {cite}, [{x1:g}, {y1:g}, {x2:g}, {y2:g}],"
        if x2 < x1 or y2 < y1:
            raise DataError(f"{box} ends before it begins. Boxes are x1, y1, x2, y2 in pixels.")
        height, width = size_hw
        if min(x1, y1) < -OVERHANG or x2 > width + OVERHANG or y2 > height + OVERHANG:
            raise DataError(
                f"{box} lies outside its image of {width} x {height} pixels. Boxes are x1, y1, x2, y2 in pixels of the "
                f"image; clip them."
            )


def _segmentation(mask: Any, size_hw: tuple[int, int], cite: str) -> tuple[Segmentation, float]:
    """Return a mask as polygons or RLE, and its area in square pixels."""
    if isinstance(mask, Tensor | np.ndarray) and mask.ndim == 2:
        dense = np.asarray(mask.detach().cpu() if isinstance(mask, Tensor) else mask)
        if dense.shape != size_hw:
            raise DataError(
                f"A mask of {cite} has {dense.shape[1]} x {dense.shape[0]} pixels, but its image {size_hw[1]} x "
                f"{size_hw[0]}. Masks have the size of the image."
            )
        return mask_to_rle(dense.astype(bool)), float(np.count_nonzero(dense))
    if not isinstance(mask, list | tuple):
        raise DataError(
            f"A mask of {cite} is a {type(mask).__name__}. Give a bool array [H, W], or a list of polygons "
            f"[x, y, x, y, ...]."
        )
    polygons = [
        numbers(np.ravel(polygon), (None,), f"The vertices of a polygon of {cite}")  # also of [V, 2]
        for polygon in mask
    ]
    return polygons, float(polygons_to_mask(valid_polygons(polygons), size_hw).sum())
