"""Reader of COCO's panoptic JSON into flat arrays; the pixels of the segments are in PNG files.

Shapes: I images, S segments of all images.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.coco_json import (
    ImageRow,
    check_unique,
    convert,
    index_of,
    integer,
    list_of,
    read_annotations,
    read_images,
)
from splitnest.errors import DataError
from splitnest.structures.categories import Categories, Category, distinct_color


@dataclass(frozen=True)
class PanopticFile:
    """Validated content of a panoptic file.

    Attributes:
        categories: Thing classes sorted by id, then stuff classes sorted by id.
        image_ids: int64 ``[I]``, in the order of ``images``, as all other fields.
        file_names: File name of each of the I images.
        sizes_hw: int64 ``[I, 2]``, height and width in pixels.
        png_names: PNG file of the segments of each image; empty for a test set.
        segment_ends: int64 ``[I]``, end of the segments of each image in the following arrays.
        segment_ids: int64 ``[S]``, distinct within an image.
        category_index: int64 ``[S]``, index into ``categories``.
        iscrowd: bool ``[S]``; False where the file gives none.
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
        """Whether the file has annotations; False for a test set."""
        return len(self.png_names) > 0

    def of_images(self, images: NDArray[np.int64]) -> "PanopticFile":
        """Return the file reduced to some images, given by their indices, in that order."""
        segments = [np.arange(len(self.segment_ids))[self.rows(image)] for image in images.tolist()]
        rows = np.concatenate(segments) if segments else np.zeros(0, np.int64)
        return replace(
            self,
            image_ids=self.image_ids[images],
            file_names=tuple(self.file_names[image] for image in images.tolist()),
            sizes_hw=self.sizes_hw[images],
            png_names=tuple(self.png_names[image] for image in images.tolist()) if self.png_names else (),
            segment_ends=np.cumsum([len(each) for each in segments], dtype=np.int64),
            segment_ids=self.segment_ids[rows],
            category_index=self.category_index[rows],
            iscrowd=self.iscrowd[rows],
        )

    def rows(self, index: int) -> slice:
        """Return the rows of the segments of one image."""
        return slice(self.segment_ends[index - 1] if index else 0, self.segment_ends[index])


def read_panoptic(path: str | Path) -> PanopticFile:
    """Read a COCO panoptic file. Ids are integers, or integers written as strings; unknown keys are ignored.

    Raises:
        DataError: The file does not exist or is not valid panoptic JSON, an id occurs twice, an annotation refers to an
            image or a segment to a category that the file does not list, or an image has no annotation although
            others have.
    """
    content, columns = read_annotations(path, _Columns)
    images = read_images(path, content)
    rows = [
        convert(path, "categories", row, item, _category)
        for row, item in enumerate(list_of(path, content, "categories"))
    ]
    category_rows = sorted(rows, key=lambda row: (not row[2], row[0]))
    check_unique(path, "category", np.array([id_ for id_, _, _ in category_rows], np.int64))
    category_index, is_listed = index_of(
        np.asarray(columns.category_ids), np.array([c[0] for c in category_rows], np.int64)
    )
    for segment in np.flatnonzero(~is_listed)[:1].tolist():
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
        categories=Categories(
            tuple(
                Category(id_, name, distinct_color(i), is_thing)
                for i, (id_, name, is_thing) in enumerate(category_rows)
            )
        ),
        image_ids=np.array([image[0] for image in images], np.int64),
        file_names=tuple(image[1] for image in images),
        sizes_hw=np.array([image[2:] for image in images], np.int64).reshape(-1, 2),
        png_names=tuple(columns.png_names[row] for row in order),
        segment_ends=np.cumsum(lengths[order]) if order else np.zeros(len(images), np.int64),
        segment_ids=np.asarray(columns.segment_ids)[segments],
        category_index=category_index[segments],
        iscrowd=np.asarray(columns.iscrowd).astype(bool)[segments],
    )


def _order(path: str | Path, images: list[ImageRow], columns: "_Columns") -> list[int]:
    """Return the annotation of each image; an empty list for a file without annotations."""
    annotated, known = np.asarray(columns.image_ids), np.array([image[0] for image in images], np.int64)
    _, is_listed = index_of(annotated, known)
    for row in np.flatnonzero(~is_listed)[:1].tolist():
        raise DataError(
            f"{path}: annotation {columns.png_names[row]} belongs to image {annotated[row]}, which the file does not "
            f"list. Add the image or remove the annotation."
        )
    check_unique(path, "annotated image", annotated)
    order, is_annotated = index_of(known, annotated)
    for row in np.flatnonzero(~is_annotated)[:1].tolist() if len(annotated) else []:
        raise DataError(
            f"{path}: image {images[row][1]} has no annotation. Add one, or remove the image; an annotation without "
            f"segments leaves all its pixels unlabeled."
        )
    return order.tolist() if len(annotated) else []


class _Columns:
    """Columns of annotations and their segments, filled while the JSON is parsed."""

    def __init__(self) -> None:
        self.image_ids, self.ends = array("q"), array("q")
        self.png_names: list[str] = []
        self.segment_ids, self.category_ids, self.iscrowd = array("q"), array("q"), array("b")

    def append(self, item: dict[str, Any]) -> None:
        segments = [
            (
                integer(segment, "id"),
                integer(segment, "category_id"),
                integer(segment, "iscrowd") if "iscrowd" in segment else 0,
            )
            for segment in item["segments_info"]
        ]
        image_id, png_name = integer(item, "image_id"), str(item["file_name"])
        ids = [id_ for id_, _, _ in segments]
        for id_ in ids:
            if not 0 < id_ < 256**3:
                raise ValueError(f"a segment has the id {id_}, which must be from 1 to {256**3 - 1}")
        if repeated := [id_ for id_, count in Counter(ids).items() if count > 1]:
            raise ValueError(f"the segment id {repeated[0]} occurs more than once")
        self.image_ids.append(image_id)
        self.png_names.append(png_name)
        for id_, category_id, iscrowd in segments:
            self.segment_ids.append(id_)
            self.category_ids.append(category_id)
            self.iscrowd.append(iscrowd > 0)
        self.ends.append(len(self.segment_ids))


def _category(item: dict[str, Any]) -> tuple[int, str, bool]:
    return integer(item, "id"), str(item["name"]), integer(item, "isthing") > 0
