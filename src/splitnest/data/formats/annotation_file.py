"""Annotations of a detection dataset in flat arrays, which need little memory and are shared by forked processes.

Readers of all formats return an ``AnnotationFile``; the terms are those of COCO.

Shapes: I images, N annotations, P polygons.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.coco_json import ImageRow, index_of, integer
from splitnest.errors import DataError

Segmentation = list[NDArray[np.float64]] | dict[str, Any]
"""Polygons, each flat ``[x, y, x, y, ...]`` in pixels; or compressed RLE, ``{"size": [H, W], "counts": str}``."""

MIN_POLYGON_LENGTH = 6
"""Number of coordinates of a triangle."""


def valid_polygons(polygons: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return the polygons with three or more vertices and an even number of coordinates."""
    return [polygon for polygon in polygons if len(polygon) >= MIN_POLYGON_LENGTH and len(polygon) % 2 == 0]


@dataclass(frozen=True)
class Segmentations:
    """Segmentations of N annotations in flat buffers: polygons, an RLE, or none.

    Attributes:
        coordinates: float64, coordinates of all polygons.
        polygon_ends: int64 ``[P]``, end of each polygon in ``coordinates``.
        annotation_ends: int64 ``[N]``, end of the polygons of each annotation in ``polygon_ends``.
        rle_counts: uint8, compressed counts of all RLEs.
        rle_ends: int64 ``[N]``, end of the counts of each annotation in ``rle_counts``.
        rle_sizes: int64 ``[N, 2]``, (H, W) of each RLE.
    """

    coordinates: NDArray[np.float64]
    polygon_ends: NDArray[np.int64]
    annotation_ends: NDArray[np.int64]
    rle_counts: NDArray[np.uint8]
    rle_ends: NDArray[np.int64]
    rle_sizes: NDArray[np.int64]

    def of(self, row: int) -> Segmentation:
        """Return the segmentation of one annotation."""
        counts = self.rle_counts[_span(self.rle_ends, row)]
        if len(counts):
            return {"size": self.rle_sizes[row].tolist(), "counts": counts.tobytes().decode("ascii")}
        polygons = range(len(self.polygon_ends))[_span(self.annotation_ends, row)]
        return [self.coordinates[_span(self.polygon_ends, polygon)] for polygon in polygons]

    def is_rle(self) -> NDArray[np.bool_]:
        """Return whether each annotation has an RLE, ``[N]``."""
        return np.diff(self.rle_ends, prepend=0) > 0

    def num_polygons(self) -> NDArray[np.int64]:
        """Return the number of polygons of each annotation, ``[N]``."""
        return np.diff(self.annotation_ends, prepend=0)

    def num_valid_polygons(self) -> NDArray[np.int64]:
        """Return the number of valid polygons of each annotation, ``[N]``: see ``valid_polygons``."""
        lengths = np.diff(self.polygon_ends, prepend=0)
        valid = np.flatnonzero((lengths >= MIN_POLYGON_LENGTH) & (lengths % 2 == 0))
        owners = np.searchsorted(self.annotation_ends, valid, side="right")
        return np.bincount(owners, minlength=len(self.annotation_ends))


class ImageSegmentations(Sequence[Segmentation]):
    """Segmentations of the annotations of one image, made on access; pickled without those of other images."""

    def __init__(self, store: Segmentations, rows: NDArray[np.int64]) -> None:
        self._store, self._rows = store, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._store.of(row) for row in self._rows[index].tolist()]
        return self._store.of(int(self._rows[index]))

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


@dataclass(frozen=True)
class AnnotationFile:
    """Validated content of an annotation file.

    Attributes:
        categories: (id, name) pairs, sorted by id.
        image_ids: int64 ``[I]``.
        file_names: File name of each of the I images.
        sizes_hw: int64 ``[I, 2]``, height and width in pixels.
        ids: int64 ``[N]``, ids of the annotations.
        image_index: int64 ``[N]``, index into the images.
        category_index: int64 ``[N]``, index into ``categories``.
        boxes_xywh: float64 ``[N, 4]`` in pixels.
        areas: float64 ``[N]`` in square pixels; area of the box where the file gives none.
        iscrowd: bool ``[N]``; False where the file gives none.
        segmentations: Segmentations of the N annotations.
        has_annotations: Whether the file has annotations; False for a test set.
    """

    categories: tuple[tuple[int, str], ...]
    image_ids: NDArray[np.int64]
    file_names: tuple[str, ...]
    sizes_hw: NDArray[np.int64]
    ids: NDArray[np.int64]
    image_index: NDArray[np.int64]
    category_index: NDArray[np.int64]
    boxes_xywh: NDArray[np.float64]
    areas: NDArray[np.float64]
    iscrowd: NDArray[np.bool_]
    segmentations: Segmentations
    has_annotations: bool


class AnnotationColumns:
    """Columns of annotations, filled one annotation at a time, so that the parsed JSON never exists as a whole."""

    def __init__(self) -> None:
        self.ids, self.image_ids, self.category_ids, self.iscrowd = array("q"), array("q"), array("q"), array("b")
        self.boxes, self.areas, self.coordinates = array("d"), array("d"), array("d")
        self.polygon_ends, self.annotation_ends = array("q"), array("q")
        self.rle_counts, self.rle_ends, self.rle_sizes = array("B"), array("q"), array("q")

    def append(self, item: dict[str, Any]) -> None:
        """Add an annotation in COCO's form.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: The annotation is not valid.
        """
        id_, image_id, category_id = integer(item, "id"), integer(item, "image_id"), integer(item, "category_id")
        box = _numbers("bbox", item["bbox"])
        if len(box) != 4 or not all(map(math.isfinite, box)):
            raise ValueError(f"'bbox' is {item['bbox']}, not four numbers (x, y, width, height)")
        (area,) = _numbers("area", [item.get("area", box[2] * box[3])])
        iscrowd = integer(item, "iscrowd") if "iscrowd" in item else 0
        segmentation = item.get("segmentation") or []
        counts, size = _rle(segmentation) if isinstance(segmentation, dict) else (b"", (0, 0))
        is_rle = isinstance(segmentation, dict)
        polygons = [] if is_rle else [_numbers("segmentation", polygon) for polygon in segmentation]

        self.ids.append(id_)
        self.image_ids.append(image_id)
        self.category_ids.append(category_id)
        self.iscrowd.append(iscrowd > 0)
        self.boxes.extend(box)
        self.areas.append(area)
        for polygon in polygons:
            self.coordinates.extend(polygon)
            self.polygon_ends.append(len(self.coordinates))
        self.annotation_ends.append(len(self.polygon_ends))
        self.rle_counts.extend(counts)
        self.rle_ends.append(len(self.rle_counts))
        self.rle_sizes.extend(size)

    def segmentations(self) -> Segmentations:
        """Return the segmentations, which share the memory of the columns."""
        return Segmentations(
            coordinates=np.asarray(self.coordinates),
            polygon_ends=np.asarray(self.polygon_ends),
            annotation_ends=np.asarray(self.annotation_ends),
            rle_counts=np.asarray(self.rle_counts),
            rle_ends=np.asarray(self.rle_ends),
            rle_sizes=np.asarray(self.rle_sizes).reshape(-1, 2),
        )


def from_rows(
    origin: str | Path,
    images: list[ImageRow],
    categories: Iterable[tuple[int, str]],
    annotations: Iterable[dict[str, Any]],
) -> AnnotationFile:
    """Return the annotations of another format as an ``AnnotationFile``.

    Args:
        origin: Origin of the annotations, for messages.
        images: (id, file name, height, width) of each image.
        categories: (id, name) of each category.
        annotations: Annotations in COCO's form without ids; ids are given from 1.
    """
    columns = AnnotationColumns()
    for id_, annotation in enumerate(annotations, start=1):
        columns.append({"id": id_, **annotation})
    return from_columns(origin, images, sorted(categories), columns, has_annotations=True)


def from_columns(
    origin: str | Path,
    images: list[ImageRow],
    categories: list[tuple[int, str]],
    columns: AnnotationColumns,
    has_annotations: bool,
) -> AnnotationFile:
    """Return columns as an ``AnnotationFile``: ids of images and categories are replaced by their indices.

    Raises:
        DataError: An annotation refers to an image or a category that is not listed.
    """
    ids, image_ids = np.asarray(columns.ids), np.array([image[0] for image in images], np.int64)
    image_index, known = index_of(np.asarray(columns.image_ids), image_ids)
    for row in np.flatnonzero(~known)[:1].tolist():
        raise DataError(
            f"{origin}: annotation {ids[row]} belongs to image {columns.image_ids[row]}, which the file does not list. "
            f"Add the image or remove the annotation."
        )
    category_index, known = index_of(np.asarray(columns.category_ids), np.array([c[0] for c in categories], np.int64))
    for row in np.flatnonzero(~known)[:1].tolist():
        raise DataError(
            f"{origin}: annotation {ids[row]} of image {images[image_index[row]][1]} has category "
            f"{columns.category_ids[row]}, which the file does not list. Add the category or remove the annotation."
        )
    return AnnotationFile(
        categories=tuple(categories),
        image_ids=image_ids,
        file_names=tuple(image[1] for image in images),
        sizes_hw=np.array([image[2:] for image in images], np.int64).reshape(-1, 2),
        ids=ids,
        image_index=image_index,
        category_index=category_index,
        boxes_xywh=np.asarray(columns.boxes).reshape(-1, 4),
        areas=np.asarray(columns.areas),
        iscrowd=np.asarray(columns.iscrowd).astype(bool),
        segmentations=columns.segmentations(),
        has_annotations=has_annotations,
    )


def _numbers(key: str, values: Any) -> "array[float]":
    try:
        return array("d", values)
    except TypeError as error:
        raise ValueError(f"{key!r} is not a list of numbers") from error


def _rle(segmentation: dict[str, Any]) -> tuple[bytes, list[int]]:
    """Return compressed counts and (H, W) of an RLE whose counts are a list or a compressed string."""
    from hotcoco.mask import rle_to_string

    size = segmentation["size"]
    return rle_to_string({"size": size, "counts": segmentation["counts"]}).encode("ascii"), size


def _span(ends: NDArray[np.int64], row: int) -> slice:
    return slice(ends[row - 1] if row else 0, ends[row])
