"""Reading COCO's panoptic JSON into flat arrays; the pixels of the segments are in PNG files beside it.

I images, S segments of all images.
"""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories, Category, distinct_color
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


@dataclass(frozen=True)
class PanopticFile:
    """What a panoptic file holds, checked.

    Attributes:
        categories: Things sorted by id, then stuff sorted by id.
        image_ids: int64 ``[I]``, in the order of ``images``, as everything else.
        file_names: Photographs ``[I]``.
        sizes_hw: int64 ``[I, 2]``, height and width in pixels.
        png_names: Files of the segments ``[I]``; empty without annotations.
        segment_ends: int64 ``[I]``, where the segments of each image end in the following.
        segment_ids: int64 ``[S]``, distinct in an image.
        category_index: int64 ``[S]``, index into ``categories``.
        iscrowd: bool ``[S]``; False where the file says nothing.
    """

    categories: Categories
    image_ids: NDArray[np.int64]
    file_names: tuple[str, ...]
    sizes_hw: NDArray[np.int64]
    png_names: tuple[str, ...]
    segment_ends: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    category_index: NDArray[np.int64]
    iscrowd: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def has_annotations(self) -> bool:
        """False for a test set, whose file lists images only."""
        return len(self.png_names) > 0

    def rows(self, index: int) -> slice:
        """Return which segments are those of one image."""
        return slice(self.segment_ends[index - 1] if index else 0, self.segment_ends[index])


def read_panoptic(path: str | Path) -> PanopticFile:
    """Read a COCO panoptic file. Ids are whole numbers, also as strings; unknown keys are passed over.

    Raises:
        DataError: The file is missing or not JSON of this form, a key is missing or of a wrong type, an id occurs
            twice, an annotation is of an image or a segment of a category that the file does not list, or an image has
            no annotation though others have.
    """
    content, columns = read_annotations(path, _Columns)
    images = read_images(path, content)
    rows = [
        convert(path, "categories", row, item, _kind) for row, item in enumerate(listed(path, content, "categories"))
    ]
    kinds = sorted(rows, key=lambda row: (not row[2], row[0]))
    check_unique(path, "category", np.array([id_ for id_, _, _ in kinds], np.int64))
    category_index, found = index_of(np.asarray(columns.category_ids), np.array([k[0] for k in kinds], np.int64))
    for segment in np.flatnonzero(~found)[:1].tolist():
        png = columns.png_names[int(np.searchsorted(columns.ends, segment, side="right"))]
        raise DataError(
            f"{path}: segment {columns.segment_ids[segment]} of {png} has category {columns.category_ids[segment]}, "
            f"which the file does not list. Add the category or remove the segment."
        )
    order = _order(path, images, columns)
    lengths = np.diff(np.asarray(columns.ends), prepend=0)
    starts = np.asarray(columns.ends) - lengths
    segments = np.concatenate([np.arange(0), *(np.arange(starts[row], columns.ends[row]) for row in order)])
    return PanopticFile(
        categories=Categories(tuple(Category(*kind[:2], distinct_color(i), kind[2]) for i, kind in enumerate(kinds))),
        image_ids=np.array([image[0] for image in images], np.int64),
        file_names=tuple(image[1] for image in images),
        sizes_hw=np.array([image[2:] for image in images], np.int64).reshape(-1, 2),
        png_names=tuple(columns.png_names[row] for row in order),
        segment_ends=np.cumsum(lengths[order]) if order else np.zeros(len(images), np.int64),
        segment_ids=np.asarray(columns.segment_ids)[segments],
        category_index=category_index[segments],
        iscrowd=np.asarray(columns.iscrowd).astype(bool)[segments],
    )


def _order(path: str | Path, images: list[Image], columns: "_Columns") -> list[int]:
    """Return which annotation is that of each image; none if there are no annotations at all."""
    annotated, known = np.asarray(columns.image_ids), np.array([image[0] for image in images], np.int64)
    _, found = index_of(annotated, known)
    for row in np.flatnonzero(~found)[:1].tolist():
        raise DataError(
            f"{path}: annotation {columns.png_names[row]} is of image {annotated[row]}, which the file does not list. "
            f"Add the image or remove the annotation."
        )
    check_unique(path, "annotated image", annotated)
    order, found = index_of(known, annotated)
    for row in np.flatnonzero(~found)[:1].tolist() if len(annotated) else []:
        raise DataError(
            f"{path}: image {images[row][1]} has no annotation. Add one, or remove the image; an annotation without "
            f"segments leaves all its pixels unlabelled."
        )
    return order.tolist() if len(annotated) else []


class _Columns:
    """Annotations and their segments, taken while the JSON parser meets them."""

    def __init__(self) -> None:
        self.image_ids, self.ends = array("q"), array("q")
        self.png_names: list[str] = []
        self.segment_ids, self.category_ids, self.iscrowd = array("q"), array("q"), array("b")

    def append(self, item: dict[str, Any]) -> None:
        segments = [
            (
                whole(segment, "id"),
                whole(segment, "category_id"),
                whole(segment, "iscrowd") if "iscrowd" in segment else 0,
            )
            for segment in item["segments_info"]
        ]
        image_id, png_name = whole(item, "image_id"), str(item["file_name"])
        ids = [id_ for id_, _, _ in segments]
        for id_ in ids:
            if not 0 < id_ < 256**3:
                raise ValueError(f"a segment has the id {id_}, which must be from 1 to {256**3 - 1}")
            if ids.count(id_) > 1:
                raise ValueError(f"the segment id {id_} occurs more than once")
        self.image_ids.append(image_id)
        self.png_names.append(png_name)
        for id_, category_id, iscrowd in segments:
            self.segment_ids.append(id_)
            self.category_ids.append(category_id)
            self.iscrowd.append(iscrowd > 0)
        self.ends.append(len(self.segment_ids))


def _kind(item: dict[str, Any]) -> tuple[int, str, bool]:
    return whole(item, "id"), str(item["name"]), whole(item, "isthing") > 0
