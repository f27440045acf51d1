"""Annotations of a detection dataset in flat arrays, which need little memory and are shared by forked processes.

Readers of all formats return an ``AnnotationFile``; the terms are those of COCO.

Shapes: I images, N annotations, P polygons.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.faults import Faults

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
        counts = self.rle_counts[span(self.rle_ends, row)]
        if len(counts):
            return {"size": self.rle_sizes[row].tolist(), "counts": counts.tobytes().decode("ascii")}
        polygons = range(len(self.polygon_ends))[span(self.annotation_ends, row)]
        return [self.coordinates[span(self.polygon_ends, polygon)] for polygon in polygons]

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
        has_new_image_ids: Whether images have other ids than in their files, of which several give the same.
        paths: Annotation file of each image, for formats with one for each and for several files; empty for others.
        lines: int64 ``[N]``, line of each annotation, for formats with a file for each image; empty for others.
        ids_in_files: int64 ``[N]``, ids that several files give their annotations; empty for one file.
        notes: Kind of anomaly in the files -> one line for each case; anomalies in annotations are not included.
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
    has_new_image_ids: bool = False
    paths: tuple[str, ...] = ()
    lines: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    ids_in_files: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def has_no_segmentation(self) -> NDArray[np.bool_]:
        """Whether each annotation has neither polygons nor an RLE, ``[N]``."""
        return ~self.segmentations.is_rle() & (self.segmentations.num_polygons() == 0)

    def check_rle_sizes(self, origin: str | Path) -> None:
        """Raise a DataError if RLEs have another size than their image.

        Args:
            origin: Name of the file in messages.
        """
        faults = Faults(origin)
        other_size = (self.segmentations.rle_sizes != self.sizes_hw[self.image_index]).any(axis=1)
        for row in np.flatnonzero(self.segmentations.is_rle() & other_size).tolist():
            sizes = self.segmentations.rle_sizes[row], self.sizes_hw[self.image_index[row]]
            of_rle, of_image = (f"{width} x {height}" for height, width in sizes)
            faults.add(
                f"{origin}: {self.cite(row)} has an RLE of {of_rle} pixels, but its image has {of_image}. Correct the "
                f"file, or use a model without masks."
            )
        faults.raise_any()

    def cite(self, row: int) -> str:
        """Return the name of one annotation in messages: file and line, or id, image and, of several files, file."""
        image = self.image_index[row]
        if len(self.lines):
            return f"{self.paths[image]}, line {self.lines[row]}"
        if self.paths:
            return f"annotation {self.ids_in_files[row]} of {self.file_names[image]} in {self.paths[image]}"
        return f"annotation {self.ids[row]} of {self.file_names[image]}"

    def without_unused(self, names: Set[str]) -> "AnnotationFile":
        """Return the file without categories that have no annotations and whose name is not in ``names``.

        Some tools add a category for the whole dataset (Roboflow's category 0), of which there are never instances. A
        file without any annotations stays as it is.
        """
        used = np.bincount(self.category_index, minlength=len(self.categories)) > 0
        kept = used | np.array([name in names for _, name in self.categories], bool)
        if kept.all() or not used.any():
            return self
        dropped = tuple(
            f"{name} (id {id_})" for (id_, name), keep in zip(self.categories, kept, strict=True) if not keep
        )
        return replace(
            self,
            categories=tuple(pair for pair, keep in zip(self.categories, kept, strict=True) if keep),
            category_index=(np.cumsum(kept) - 1)[self.category_index],
            notes={**self.notes, "category without annotations that is not a class of the model: dropped": dropped},
        )


def span(ends: NDArray[np.int64], row: int) -> slice:
    """Return the elements of one row, given the end of each."""
    return slice(ends[row - 1] if row else 0, ends[row])
