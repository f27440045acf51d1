"""Reading a COCO annotation file into flat arrays, which take little memory and stay shared over forked processes.

I images, N annotations, P polygons.
"""

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.coco_json import (
    Image,
    check_unique,
    convert,
    index_of,
    listed,
    read_annotations,
    read_images,
    whole,
)
from splitnest.errors import DataError

Segmentation = list[NDArray[np.float64]] | dict[str, Any]
"""Polygons, each flat ``[x, y, x, y, ...]`` in pixels; or compressed RLE, ``{"size": [H, W], "counts": str}``."""


SHORTEST_POLYGON = 6
"""Numbers of a triangle."""


def sound(polygons: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return the polygons with three points or more, and no half ones."""
    return [polygon for polygon in polygons if len(polygon) >= SHORTEST_POLYGON and len(polygon) % 2 == 0]


@dataclass(frozen=True)
class Segmentations:
    """Outlines of N annotations in flat buffers: polygons or RLE, or no polygons at all.

    Attributes:
        coordinates: float64, those of all polygons.
        polygon_ends: int64 [P], where each polygon ends in ``coordinates``.
        annotation_ends: int64 [N], where the polygons of each annotation end in ``polygon_ends``.
        rle_counts: uint8, the compressed counts of all RLEs.
        rle_ends: int64 [N], where the counts of each annotation end in ``rle_counts``.
        rle_sizes: int64 [N, 2], (H, W) of each RLE.
    """

    coordinates: NDArray[np.float64]
    polygon_ends: NDArray[np.int64]
    annotation_ends: NDArray[np.int64]
    rle_counts: NDArray[np.uint8]
    rle_ends: NDArray[np.int64]
    rle_sizes: NDArray[np.int64]

    def of(self, row: int) -> Segmentation:
        """Outline of one annotation."""
        counts = self.rle_counts[_span(self.rle_ends, row)]
        if len(counts):
            return {"size": self.rle_sizes[row].tolist(), "counts": counts.tobytes().decode("ascii")}
        polygons = range(len(self.polygon_ends))[_span(self.annotation_ends, row)]
        return [self.coordinates[_span(self.polygon_ends, polygon)] for polygon in polygons]

    def is_rle(self) -> NDArray[np.bool_]:
        """Whether each annotation is an RLE, [N]."""
        return np.diff(self.rle_ends, prepend=0) > 0

    def num_polygons(self) -> NDArray[np.int64]:
        """Number of polygons of each annotation, [N]."""
        return np.diff(self.annotation_ends, prepend=0)

    def num_sound_polygons(self) -> NDArray[np.int64]:
        """Number of those with three points or more, and no half ones, [N]."""
        lengths = np.diff(self.polygon_ends, prepend=0)
        sound = np.flatnonzero((lengths >= SHORTEST_POLYGON) & (lengths % 2 == 0))
        owners = np.searchsorted(self.annotation_ends, sound, side="right")
        return np.bincount(owners, minlength=len(self.annotation_ends))


@dataclass(frozen=True)
class CocoFile:
    """What an annotation file holds, checked.

    Attributes:
        categories: (id, name) pairs, sorted by id.
        image_ids: int64 [I].
        file_names: [I].
        sizes_hw: int64 [I, 2], height and width in pixels.
        ids: int64 [N], ids of the annotations.
        image_index: int64 [N], index into the images.
        category_index: int64 [N], index into ``categories``.
        boxes_xywh: float64 [N, 4] in pixels.
        areas: float64 [N] in square pixels; that of the box where the file gives none.
        iscrowd: bool [N]; False where the file says nothing.
        segmentations: N outlines.
        has_annotations: False for a file without the key, as that of a test set.
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


def read_coco(path: str | Path) -> CocoFile:
    """Read a COCO detection file. Ids are whole numbers, also as strings; unknown keys are passed over.

    Raises:
        DataError: The file is missing or not JSON of this form, a key is missing or of a wrong type, an id occurs
            twice, or an annotation is of an image or category that the file does not list.
    """
    return coco_file(path, *read_annotations(path, CocoColumns))


def coco_file(path: str | Path, content: dict[str, Any], columns: "CocoColumns") -> CocoFile:
    """Return what was read of a file, checked.

    Args:
        path: Of the file, for messages.
        content: What it holds besides annotations.
        columns: Its annotations.

    Raises:
        DataError: As ``read_coco``.
    """
    images = read_images(path, content)
    categories = [
        convert(path, "categories", row, item, lambda item: (whole(item, "id"), str(item["name"])))
        for row, item in enumerate(listed(path, content, "categories"))
    ]
    check_unique(path, "category", np.array([id_ for id_, _ in categories], np.int64))
    check_unique(path, "annotation", np.asarray(columns.ids))
    return _build(path, images, sorted(categories), columns, has_annotations="annotations" in content)


def build_coco(
    origin: str | Path,
    images: list[Image],
    categories: Iterable[tuple[int, str]],
    annotations: Iterable[dict[str, Any]],
) -> CocoFile:
    """Return sound annotations of another form as those of a COCO file.

    Args:
        origin: Where they are from, for messages.
        images: (id, file name, height, width) of each.
        categories: (id, name) of each.
        annotations: Objects as in a COCO file, without ids, which are given from 1.
    """
    columns = CocoColumns()
    for id_, annotation in enumerate(annotations, start=1):
        columns.append({"id": id_, **annotation})
    return _build(origin, images, sorted(categories), columns, has_annotations=True)


def _build(
    path: str | Path,
    images: list[Image],
    categories: list[tuple[int, str]],
    columns: "CocoColumns",
    has_annotations: bool,
) -> CocoFile:
    """Replace ids of images and categories by their indices."""
    ids, image_ids = np.asarray(columns.ids), np.array([image[0] for image in images], np.int64)
    image_index, found = index_of(np.asarray(columns.image_ids), image_ids)
    for row in np.flatnonzero(~found)[:1].tolist():
        raise DataError(
            f"{path}: annotation {ids[row]} is of image {columns.image_ids[row]}, which the file does not list. "
            f"Add the image or remove the annotation."
        )
    category_index, found = index_of(np.asarray(columns.category_ids), np.array([c[0] for c in categories], np.int64))
    for row in np.flatnonzero(~found)[:1].tolist():
        raise DataError(
            f"{path}: annotation {ids[row]} of image {images[image_index[row]][1]} has category "
            f"{columns.category_ids[row]}, which the file does not list. Add the category or remove the annotation."
        )
    return CocoFile(
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


class CocoColumns:
    """Annotations, taken while the JSON parser meets them: their objects never exist all at once."""

    def __init__(self) -> None:
        self.ids, self.image_ids, self.category_ids, self.iscrowd = array("q"), array("q"), array("q"), array("b")
        self.boxes, self.areas, self.coordinates = array("d"), array("d"), array("d")
        self.polygon_ends, self.annotation_ends = array("q"), array("q")
        self.rle_counts, self.rle_ends, self.rle_sizes = array("B"), array("q"), array("q")

    def append(self, item: dict[str, Any]) -> None:
        """Take an annotation; KeyError, TypeError, ValueError and OverflowError say what is wrong with it."""
        id_, image_id, category_id = whole(item, "id"), whole(item, "image_id"), whole(item, "category_id")
        box = _numbers("bbox", item["bbox"])
        if len(box) != 4 or not all(map(math.isfinite, box)):
            raise ValueError(f"'bbox' is {item['bbox']}, not four numbers (x, y, width, height)")
        (area,) = _numbers("area", [item.get("area", box[2] * box[3])])
        iscrowd = whole(item, "iscrowd") if "iscrowd" in item else 0
        outline = item.get("segmentation") or []
        counts, size = _rle(outline) if isinstance(outline, dict) else (b"", (0, 0))
        polygons = [] if isinstance(outline, dict) else [_numbers("segmentation", polygon) for polygon in outline]

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
        """The outlines, sharing the memory of the columns."""
        return Segmentations(
            coordinates=np.asarray(self.coordinates),
            polygon_ends=np.asarray(self.polygon_ends),
            annotation_ends=np.asarray(self.annotation_ends),
            rle_counts=np.asarray(self.rle_counts),
            rle_ends=np.asarray(self.rle_ends),
            rle_sizes=np.asarray(self.rle_sizes).reshape(-1, 2),
        )


def _numbers(key: str, values: Any) -> "array[float]":
    try:
        return array("d", values)
    except TypeError as error:
        raise ValueError(f"{key!r} is no list of numbers") from error


def _rle(outline: dict[str, Any]) -> tuple[bytes, list[int]]:
    """Return compressed counts and (H, W) of an RLE whose counts are a list or already compressed."""
    from hotcoco.mask import rle_to_string

    return rle_to_string({"size": outline["size"], "counts": outline["counts"]}).encode("ascii"), outline["size"]


def _span(ends: NDArray[np.int64], row: int) -> slice:
    return slice(ends[row - 1] if row else 0, ends[row])
