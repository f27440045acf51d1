"""Columns of annotations, filled while a file is read, and the ``AnnotationFile`` they become."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from splitnest.data.formats.annotation_file import AnnotationFile, Segmentations
from splitnest.data.formats.coco_json import ImageRow, index_of, integer
from splitnest.data.formats.faults import Faults
from splitnest.data.formats.plausibility import implausible


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
        if len(box) != 4:
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
    *,
    paths: Sequence[str | Path] = (),
    notes: Mapping[str, tuple[str, ...]] | None = None,
    faults: Faults | None = None,
) -> AnnotationFile:
    """Return the annotations of another format as an ``AnnotationFile``.

    Args:
        origin: Origin of the annotations, for messages.
        images: (id, file name, height, width) of each image; ids are from 1 for a format with ``paths``.
        categories: (id, name) of each category.
        annotations: Annotations in COCO's form without ids, which are given from 1; for a format with ``paths`` also
            with ``line``.
        paths: Annotation file of each image.
        notes: Same as ``AnnotationFile.notes``.
        faults: Faults that were found already.

    Raises:
        DataError: There are faults, or numbers of an annotation are not plausible.
    """
    columns, lines = AnnotationColumns(), array("q")
    for id_, annotation in enumerate(annotations, start=1):
        columns.append({"id": id_, **annotation})
        lines.append(annotation.get("line", 0))
    if faults is not None:
        faults.raise_any()
    lines_of_files = lines if paths else None
    file = from_columns(
        origin, images, sorted(categories), columns, has_annotations=True, paths=paths, lines=lines_of_files
    )
    return replace(file, notes=notes or {})


def from_columns(
    origin: str | Path,
    images: list[ImageRow],
    categories: list[tuple[int, str]],
    columns: AnnotationColumns,
    has_annotations: bool,
    *,
    paths: Sequence[str | Path] = (),
    lines: "array[int] | None" = None,
) -> AnnotationFile:
    """Return columns as an ``AnnotationFile``: ids of images and categories are replaced by their indices.

    Raises:
        DataError: Annotations refer to an image or a category that is not listed, or have numbers that are not finite
            or not plausible.
    """
    ids, image_ids = np.asarray(columns.ids), np.array([image[0] for image in images], np.int64)
    faults = Faults(origin)
    image_index, known = index_of(np.asarray(columns.image_ids), image_ids)
    for row in np.flatnonzero(~known).tolist():
        faults.add(
            f"{origin}: annotation {ids[row]} belongs to image {columns.image_ids[row]}, which the file does not list. "
            f"Add the image or remove the annotation."
        )
    faults.raise_any()
    category_index, known = index_of(np.asarray(columns.category_ids), np.array([c[0] for c in categories], np.int64))
    for row in np.flatnonzero(~known).tolist():
        faults.add(
            f"{origin}: annotation {ids[row]} of image {images[image_index[row]][1]} has category "
            f"{columns.category_ids[row]}, which the file does not list. Add the category or remove the annotation."
        )
    faults.raise_any()
    file = AnnotationFile(
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
        paths=tuple(map(str, paths)),
        lines=np.asarray([] if lines is None else lines, np.int64),
    )
    for row, reason in implausible(file):
        faults.add(f"{origin}: {file.cite(row)}: {reason}. Correct it.")
    faults.raise_any()
    return file


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
